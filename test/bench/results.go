package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"minicluster.internal/operator/test/framework/cluster/process"
)

// phase is a part of a round.
type phase string

const (
	phaseCreate  phase = "create"
	phaseResize  phase = "resize all"
	phaseSingles phase = "resize singly"
	phaseIdle    phase = "idle"
	phaseDelete  phase = "delete"
)

var phases = []phase{phaseCreate, phaseResize, phaseSingles, phaseIdle, phaseDelete}

// results are all figures of a measurement, as --json writes them.
type results struct {
	MiniClusters int     `json:"miniClusters"`
	Rounds       int     `json:"rounds"`
	Singles      int     `json:"singles"`
	Workers      int     `json:"workers"`
	Users        int     `json:"users"`
	Nodes        int     `json:"nodes"`
	CPUs         int     `json:"cpus"`
	IdleSeconds  float64 `json:"idleSeconds"`
	Operator     string  `json:"operator"`

	// Times in seconds, by what was waited for and contender, one per round.
	Times map[string]map[contender][]float64 `json:"times"`
	// Latency of single resizes in seconds: of MiniClusters, and of bare Jobs.
	Latency map[contender][]float64 `json:"latency"`
	// Requests of the operator in all rounds, by phase.
	Requests map[phase]map[string]int `json:"requests"`
	// CPU seconds in all rounds, by contender and phase.
	CPU map[contender]map[phase]float64 `json:"cpu"`
	// RSS is the memory at the end of a phase in bytes, PeakRSS the maximum.
	RSS     map[contender]map[phase]int64 `json:"rss"`
	PeakRSS map[contender]int64           `json:"peakRSS"`

	order []string
}

func newResults(o *options) *results {
	operator := cmp.Or(o.OperatorCommand, "minicluster-controller")
	return &results{
		MiniClusters: o.N, Rounds: o.Rounds, Singles: o.Singles, Workers: o.Workers, Users: o.Users, Nodes: o.Nodes,
		CPUs: runtime.NumCPU(), IdleSeconds: o.Idle.Seconds(), Operator: operator,
		Times:    map[string]map[contender][]float64{},
		Latency:  map[contender][]float64{},
		Requests: map[phase]map[string]int{},
		CPU:      map[contender]map[phase]float64{},
		RSS:      map[contender]map[phase]int64{},
		PeakRSS:  map[contender]int64{},
	}
}

func (r *results) took(who contender, what string, d time.Duration) {
	if r.Times[what] == nil {
		r.Times[what] = map[contender][]float64{}
		r.order = append(r.order, what)
	}
	r.Times[what][who] = append(r.Times[what][who], d.Seconds())
}

func (r *results) countRequests(p phase, counts map[string]int) {
	if r.Requests[p] == nil {
		r.Requests[p] = map[string]int{}
	}
	for key, n := range counts {
		r.Requests[p][key] += n
	}
}

func (r *results) use(who contender, p phase, before, after process.Usage) {
	if r.CPU[who] == nil {
		r.CPU[who], r.RSS[who] = map[phase]float64{}, map[phase]int64{}
	}
	r.CPU[who][p] += (after.CPU - before.CPU).Seconds()
	r.RSS[who][p] = max(r.RSS[who][p], after.RSS)
	r.PeakRSS[who] = max(r.PeakRSS[who], after.PeakRSS)
}

// worth omits requests that do not depend on the number of MiniClusters: leases and watches.
func worth(counts map[string]int) map[string]int {
	counts = maps.Clone(counts)
	maps.DeleteFunc(counts, func(key string, _ int) bool {
		verb, what, _ := strings.Cut(key, " ")
		return verb == "watch" || what == "leases"
	})
	return counts
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// quantile returns the value below which a share of the values lies; 0 if there are none.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	at := share * float64(len(values)-1)
	low := int(at)
	if low == len(values)-1 {
		return values[low]
	}
	return values[low] + (at-float64(low))*(values[low+1]-values[low])
}

// writeJSON writes the results of a measurement to a file, if one is named.
func writeJSON(path string, results any) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return nil
}

// print prints the results as tables.
func (r *results) print(to io.Writer) error {
	if len(r.order) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(to, "\n%d MiniClusters on %d simulated nodes, %d CPUs, %d rounds; operator: %s\n\n", r.MiniClusters, r.Nodes, r.CPUs, r.Rounds, r.Operator)
	r.printTimes(w)
	r.printLatency(w)
	r.printUsage(w)
	r.printRequests(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing the results: %w", err)
	}
	return nil
}

func (r *results) printTimes(w io.Writer) {
	fmt.Fprintln(w, "time (median of the rounds)\toperator\traw client\tratio\tfloor\tratio\t")
	for _, what := range r.order {
		r.printTime(w, what, what, rawTurn)
		if what == r.order[0] {
			r.printTime(w, "the same, beside the operator's own writes", what, writesTurn)
		}
	}
	fmt.Fprintln(w, "\t\t\t\t\t\t")
}

func (r *results) printTime(w io.Writer, title, what string, limit contender) {
	operator, raw, floor := quantile(r.Times[what][operatorTurn], 0.5), quantile(r.Times[what][limit], 0.5), quantile(r.Times[what][floorTurn], 0.5)
	compare(w, title, "%.2f s", operator, raw, floor, raw)
}

func (r *results) printLatency(w io.Writer) {
	if r.Singles == 0 {
		return
	}
	fmt.Fprintf(w, "resize of one, %d times\toperator\tJob patch\tratio\tfloor\tratio\t\n", r.Singles)
	for _, q := range []struct {
		name  string
		share float64
	}{{"median", 0.5}, {"95 %", 0.95}, {"maximum", 1}} {
		operator, raw := quantile(r.Latency[operatorTurn], q.share), quantile(r.Latency[rawTurn], q.share)
		floor, jobs := quantile(r.Latency[floorTurn], q.share), quantile(r.Latency[floorJobs], q.share)
		compare(w, q.name, "%.1f ms", 1000*operator, 1000*raw, 1000*floor, 1000*jobs)
	}
	fmt.Fprintln(w, "\t\t\t\t\t\t")
}

func (r *results) printUsage(w io.Writer) {
	fmt.Fprintln(w, "use of the machine\toperator\traw client\tratio\tfloor\tratio\t")
	rounds := float64(r.Rounds)
	for _, p := range []phase{phaseCreate, phaseResize, phaseDelete} {
		operator, raw, floor := r.CPU[operatorTurn][p]/rounds, r.CPU[rawTurn][p]/rounds, r.CPU[floorTurn][p]/rounds
		compare(w, fmt.Sprintf("CPU, %s", p), "%.2f s", operator, raw, floor, raw)
	}
	compare(w, fmt.Sprintf("CPU, idle for %.0f s", r.IdleSeconds), "%.2f s", r.CPU[operatorTurn][phaseIdle], 0, 0, 0)
	for _, p := range []phase{phaseCreate, phaseResize} {
		compareRSS(w, fmt.Sprintf("RSS after %s", p), r.RSS[operatorTurn][p], r.RSS[rawTurn][p], r.RSS[floorTurn][p])
	}
	compareRSS(w, "RSS, peak", r.PeakRSS[operatorTurn], r.PeakRSS[rawTurn], r.PeakRSS[floorTurn])
	fmt.Fprintln(w, "\t\t\t\t\t\t")
}

// printRequests prints the operator's requests to the API server.
func (r *results) printRequests(w io.Writer) {
	fmt.Fprint(w, "the operator's requests\t")
	keys := map[string]struct{}{}
	for _, p := range phases {
		fmt.Fprintf(w, "%s\t", p)
		for key := range worth(r.Requests[p]) {
			keys[key] = struct{}{}
		}
	}
	fmt.Fprintln(w)
	row := func(name string, count func(phase) string) {
		fmt.Fprintf(w, "%s\t", name)
		for _, p := range phases {
			fmt.Fprintf(w, "%s\t", count(p))
		}
		fmt.Fprintln(w)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		row(key, func(p phase) string { return fmt.Sprint(r.Requests[p][key]) })
	}
	row("all, for each MiniCluster", func(p phase) string {
		return fmt.Sprintf("%.2f", float64(total(worth(r.Requests[p])))/r.shares(p))
	})
	row("leases and watches", func(p phase) string {
		return fmt.Sprint(total(r.Requests[p]) - total(worth(r.Requests[p])))
	})
}

// shares returns the number of MiniClusters that the requests of a phase were for.
func (r *results) shares(p phase) float64 {
	switch p {
	case phaseSingles:
		return float64(max(1, r.Singles))
	case phaseIdle:
		return float64(r.MiniClusters)
	default:
		return float64(r.MiniClusters * r.Rounds)
	}
}
