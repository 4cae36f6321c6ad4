package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// step is a moment in the life of a pod, as a client sees it.
type step int

const (
	exists step = iota
	scheduled
	initialized
	running
	ready
	deleting
	stopped
	gone
	steps
)

// podTimes are the times of the steps of a pod.
type podTimes [steps]time.Time

// startRound is one start and end of a kind.
type startRound struct {
	// create and delete are the times of the requests, created and deleted of the answers.
	create, created, delete, deleted, end time.Time
	pods                                  map[string]*podTimes
}

// record notes the steps that a pod has reached.
func (r *startRound) record(pod *corev1.Pod, event watch.EventType, now time.Time) {
	times := r.pods[pod.Name]
	if times == nil {
		times = &podTimes{}
		r.pods[pod.Name] = times
	}
	reach := func(s step, reached bool) {
		if reached && times[s].IsZero() {
			times[s] = now
		}
	}
	has := func(kind corev1.PodConditionType) bool {
		return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == kind && c.Status == corev1.ConditionTrue
		})
	}
	states := pod.Status.ContainerStatuses
	reach(exists, true)
	reach(scheduled, pod.Spec.NodeName != "")
	reach(initialized, has(corev1.PodInitialized) && has(corev1.PodReadyToStartContainers))
	reach(running, len(states) > 0 && states[0].State.Running != nil)
	reach(ready, has(corev1.PodReady))
	reach(deleting, pod.DeletionTimestamp != nil)
	reach(stopped, len(states) > 0 && states[0].State.Terminated != nil)
	reach(gone, event == watch.Deleted)
}

// count returns the number of pods that have reached a step.
func (r *startRound) count(s step) int {
	n := 0
	for _, times := range r.pods {
		if !times[s].IsZero() {
			n++
		}
	}
	return n
}

// last returns when the last pod reached a step.
func (r *startRound) last(s step) time.Time {
	var last time.Time
	for _, times := range r.pods {
		if times[s].After(last) {
			last = times[s]
		}
	}
	return last
}

// startResults are the rounds, by kind.
type startResults struct {
	options *startOptions
	rounds  map[string][]*startRound
	// failedProbes are the failed probes of all rounds, by kind.
	failedProbes map[string]int
}

// column is a figure of a round.
type column struct {
	name  string
	value func(*startRound) time.Duration
}

func columns() []column {
	after := func(s step) func(*startRound) time.Duration {
		return func(r *startRound) time.Duration { return r.last(s).Sub(r.create) }
	}
	return []column{
		{"pods exist", after(exists)},
		{"scheduled", after(scheduled)},
		{"initialized", after(initialized)},
		{"running", after(running)},
		{"ready", after(ready)},
		{"deleting", func(r *startRound) time.Duration { return r.last(deleting).Sub(r.delete) }},
		{"stopped", func(r *startRound) time.Duration { return r.last(stopped).Sub(r.delete) }},
		{"gone", func(r *startRound) time.Duration { return r.last(gone).Sub(r.delete) }},
	}
}

// print prints the medians in seconds, from the request of the user to the last pod, and how long the start takes
// beyond that of the bare Job. It judges nothing: the figures depend on the machine.
func (r *startResults) print(out io.Writer) error {
	if len(r.rounds) == 0 {
		return nil
	}
	fmt.Fprintf(out, "%d pods, median of %d rounds, seconds after `kubectl create` or `kubectl delete` for the last pod\n\n", r.options.Size, r.options.Rounds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "kind")
	for _, c := range columns() {
		fmt.Fprint(w, "\t", c.name)
	}
	fmt.Fprintln(w, "\tready, min to max\tready, beyond the bare Job\tgone, min to max\tfailed probes of all rounds")
	readiness, end := columns()[ready-exists], columns()[gone-exists]
	base := quantile(r.values(kinds(r.options)[0].name, readiness), 0.5)
	for _, k := range kinds(r.options) {
		fmt.Fprint(w, k.name)
		for _, c := range columns() {
			fmt.Fprintf(w, "\t%.2f", quantile(r.values(k.name, c), 0.5))
		}
		values, ends := r.values(k.name, readiness), r.values(k.name, end)
		fmt.Fprintf(w, "\t%.2f to %.2f\t%+.2f\t%.2f to %.2f\t%d\n",
			slices.Min(values), slices.Max(values), quantile(values, 0.5)-base, slices.Min(ends), slices.Max(ends), r.failedProbes[k.name])
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing the results: %w", err)
	}
	return nil
}

// values returns a figure of all rounds of a kind, in seconds.
func (r *startResults) values(kind string, c column) []float64 {
	var values []float64
	for _, round := range r.rounds[kind] {
		values = append(values, c.value(round).Seconds())
	}
	return values
}
