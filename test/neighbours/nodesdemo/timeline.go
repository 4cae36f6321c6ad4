package main

import (
	"fmt"
	"io"
	"time"

	"minicluster.internal/operator/test/framework/karpenter"
)

// Parameters of the demo. Those of the examples are repeated here, and a test compares them.
const (
	jobs        = 6
	jobDuration = time.Minute
	// syncPeriod is the default of HorizontalPodAutoscalers.
	syncPeriod = 15 * time.Second
	// collectInterval is the default of minicluster-metrics.
	collectInterval = 5 * time.Second

	idle             = 30 * time.Second
	nodeDelay        = 20 * time.Second
	consolidateAfter = 10 * time.Second
)

// timeline are the seconds after the submission of the jobs at which something was first seen.
type timeline struct {
	grown, nodes, pods, ended, shrunk, left, gone int
}

func timelineOf(samples []sample) timeline {
	var t timeline
	first := func(at *int, s sample, after int, reached bool) {
		if *at == 0 && reached && s.second >= after {
			*at = s.second
		}
	}
	for _, s := range samples {
		first(&t.grown, s, 0, s.size == jobs)
		first(&t.nodes, s, 0, s.nodes == jobs)
		first(&t.pods, s, 0, s.pods == jobs)
		if t.pods > 0 {
			first(&t.ended, s, t.pods, s.pending+s.running == 0)
		}
		if t.ended > 0 {
			first(&t.shrunk, s, t.ended, s.size == 1)
			first(&t.left, s, t.ended, s.pods == 1)
			first(&t.gone, s, t.ended, s.nodes == 1)
		}
	}
	return t
}

// String describes the timeline.
func (t timeline) String() string {
	return fmt.Sprintf("Six jobs are submitted at 0 s. The size is 6 after %d s, the nodes exist after %d s, the pods are ready after %d s, the jobs have ended after %d s, the size is 1 after %d s, one pod is left after %d s, and one node after %d s.",
		t.grown, t.nodes, t.pods, t.ended, t.shrunk, t.left, t.gone)
}

// delay is what a neighbour waits for at most by its own configuration.
type delay struct {
	what string
	most time.Duration
}

// delays are what has to happen between the first job and the last node, without the operator.
func delays() []delay {
	return []delay{
		{"minicluster-metrics reads the queue", collectInterval},
		{"the HorizontalPodAutoscaler reads the metric", syncPeriod},
		{"Karpenter waits for further pods", karpenter.BatchDelay},
		{"the cloud provides nodes", nodeDelay},
		{"the jobs run", jobDuration},
		{"minicluster-metrics reads the queue", collectInterval},
		{"spec.autoscaling.idleSeconds", idle},
		{"the HorizontalPodAutoscaler reads the metric", syncPeriod},
		{"consolidateAfter of the NodePool", consolidateAfter},
		{"Karpenter looks for empty nodes", karpenter.DisruptionDelay},
		{"Karpenter checks that they stay empty", karpenter.ValidationDelay},
		{"Karpenter drains a node", karpenter.DrainDelay},
	}
}

// sumOfDelays returns the sum of all delays.
func sumOfDelays() (sum time.Duration) {
	for _, d := range delays() {
		sum += d.most
	}
	return sum
}

func report(out io.Writer, samples []sample) {
	t := timelineOf(samples)
	for _, step := range []struct {
		second int
		what   string
	}{
		{0, fmt.Sprintf("%d jobs are submitted", jobs)},
		{t.grown, fmt.Sprintf("the size is %d", jobs)},
		{t.nodes, "all nodes exist"},
		{t.pods, "all pods are ready"},
		{t.ended, "all jobs have ended"},
		{t.shrunk, "the size is 1"},
		{t.left, "one pod is left"},
		{t.gone, "one node is left"},
	} {
		fmt.Fprintf(out, "%4d s  %s\n", step.second, step.what)
	}
	fmt.Fprintln(out, "\nDelays of the others, at most, and the jobs:")
	for _, d := range delays() {
		fmt.Fprintf(out, "%4.0f s  %s\n", d.most.Seconds(), d.what)
	}
	fmt.Fprintf(out, "%4.0f s  sum\n", sumOfDelays().Seconds())
}
