package serve

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"minicluster.internal/operator/pkg/flux"
)

// text is the format of Prometheus, version 0.0.4.
type text struct{ bytes.Buffer }

// family begins a metric; all are gauges.
func (t *text) family(name, help string) {
	fmt.Fprintf(t, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

func (t *text) gauge(name, help string, value int) {
	t.family(name, help)
	fmt.Fprintf(t, "%s %d\n", name, value)
}

// labelled are the values of a metric by a label, in the order given.
func (t *text) labelled(name, help, label string, values ...labelled) {
	t.family(name, help)
	for _, v := range values {
		fmt.Fprintf(t, "%s{%s=%s} %d\n", name, label, strconv.Quote(v.is), v.value)
	}
}

type labelled struct {
	is    string
	value int
}

// oneOf are the values of a metric that says which of some states it is. One that is
// not among them comes after them: versions of Flux differ.
func oneOf(is string, states ...string) []labelled {
	out := make([]labelled, 0, len(states)+1)
	if !slices.Contains(states, is) {
		states = append(states, is)
	}
	for _, state := range states {
		v := labelled{is: state}
		if state == is {
			v.value = 1
		}
		out = append(out, v)
	}
	return out
}

// exposition writes a snapshot; nil when the broker did not tell.
func exposition(s *snapshot) []byte {
	var t text
	up := 0
	if s != nil {
		up = 1
	}
	t.gauge("flux_up", "Whether the lead broker answered; without that there are no other metrics.", up)
	if s == nil {
		return t.Bytes()
	}
	t.family("flux_last_update_timestamp_seconds", "When these numbers were collected, in seconds since 1970.")
	fmt.Fprintf(&t, "flux_last_update_timestamp_seconds %.3f\n", float64(s.at.UnixMilli())/1000)
	t.labelled("flux_info", "The version of Flux.", "version", labelled{s.version, 1})
	t.labelled("flux_broker_state", "The state of the lead broker: 1 for that which it is in.", "state",
		oneOf(s.state, flux.StateJoin, "init", flux.StateQuorum, flux.StateRun, flux.StateCleanup, flux.StateShutdown)...)
	t.labelled("flux_overlay_health", "The health of the tree of brokers: 1 for that which it is in.", "status",
		oneOf(s.health, flux.HealthFull, flux.HealthPartial, flux.HealthDegraded, flux.HealthLost, flux.HealthOffline)...)
	s.resources(&t)
	s.jobs(&t)
	t.gauge("flux_nodes_pending", "Nodes that waiting jobs want which could run if there were enough.", s.demand.pendingNodes)
	t.gauge("flux_cores_pending", "Cores that waiting jobs want which could run if there were enough.", s.demand.pendingCores)
	t.gauge("flux_gpus_pending", "GPUs that waiting jobs want which could run if there were enough.", s.demand.pendingGPUs)
	t.gauge("flux_jobs_uncounted", fmt.Sprintf("Waiting jobs after the first %d, which are not in what is pending and demanded.", maxWaiting), s.uncounted)
	t.gauge("flux_nodes_demanded", "Pods with which everything that runs goes on and everything that could run runs.", s.demand.nodes)
	return t.Bytes()
}

func (s *snapshot) resources(t *text) {
	all := s.sched.All.Totals()
	up := s.sched.All.Without(s.sched.Down).Totals()
	free := s.sched.Free().Totals()
	allocated := s.sched.Allocated.Totals()
	drainedSet := s.sched.All.On(s.status.DrainedRanks()).Totals()
	offline := s.sched.All.On(s.status.Offline).Totals()
	for _, m := range []struct {
		suffix, what string
		totals       flux.Totals
	}{
		{"", "the maximum size has", all},
		{"_up", "jobs can run on", up},
		{"_free", "could be given to a job now", free},
		{"_allocated", "jobs have", allocated},
		{"_drained", "get no new jobs, because they are drained", drainedSet},
		{"_offline", "have no broker", offline},
	} {
		t.gauge("flux_nodes"+m.suffix, "Nodes that "+m.what+".", m.totals.Nodes)
		t.gauge("flux_cores"+m.suffix, "Cores that "+m.what+".", m.totals.Cores)
		t.gauge("flux_gpus"+m.suffix, "GPUs that "+m.what+".", m.totals.GPUs)
	}
}

func (s *snapshot) jobs(t *text) {
	states := s.stats.States
	t.labelled("flux_jobs", "Jobs by state.", "state",
		labelled{"new", s.fresh}, labelled{"depend", states.Depend}, labelled{"priority", states.Priority}, labelled{"sched", states.Sched},
		labelled{"run", states.Run}, labelled{"cleanup", states.Cleanup}, labelled{"inactive", states.Inactive})
	t.labelled("flux_jobs_ended", "Inactive jobs by how they ended.", "result",
		labelled{"successful", s.stats.Successful}, labelled{"failed", s.stats.Failed},
		labelled{"canceled", s.stats.Canceled}, labelled{"timeout", s.stats.TimedOut})
}
