package serve

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/flux"
)

// text is in the format of Prometheus, version 0.0.4.
type text struct{ bytes.Buffer }

// family starts a metric; all are gauges.
func (t *text) family(name, help string) {
	fmt.Fprintf(t, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

func (t *text) gauge(name, help string, value int) {
	t.family(name, help)
	fmt.Fprintf(t, "%s %d\n", name, value)
}

// labelled writes the values of a metric by a label, in the given order.
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

// oneOf returns the values of a metric for a state: 1 for the current one. A state that is not among the known ones
// is appended, because versions of Flux differ.
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

// exposition writes a snapshot, nil if the broker did not respond, and the metrics of the application.
func exposition(s *snapshot, application []appmetric.Value) []byte {
	var t text
	up := 0
	if s != nil {
		up = 1
	}
	t.gauge("flux_up", "Whether the lead broker responded; otherwise there are no other metrics.", up)
	if s == nil {
		return t.Bytes()
	}
	t.family("flux_last_update_timestamp_seconds", "When these numbers were collected, in seconds since 1970.")
	fmt.Fprintf(&t, "flux_last_update_timestamp_seconds %.3f\n", float64(s.at.UnixMilli())/1000)
	t.labelled("flux_info", "The version of Flux.", "version", labelled{s.version, 1})
	t.labelled("flux_broker_state", "The state of the lead broker: 1 for the current one.", "state",
		oneOf(s.state, flux.StateJoin, "init", flux.StateQuorum, flux.StateRun, flux.StateCleanup, flux.StateShutdown)...)
	t.labelled("flux_overlay_health", "The health of the tree of brokers: 1 for the current one.", "status",
		oneOf(s.health, flux.HealthFull, flux.HealthPartial, flux.HealthDegraded, flux.HealthLost, flux.HealthOffline)...)
	s.resources(&t)
	s.jobs(&t)
	t.gauge("flux_nodes_pending", "Nodes requested by pending jobs that could run if there were enough.", s.demand.pendingNodes)
	t.gauge("flux_cores_pending", "Cores requested by pending jobs that could run if there were enough.", s.demand.pendingCores)
	t.gauge("flux_gpus_pending", "GPUs requested by pending jobs that could run if there were enough.", s.demand.pendingGPUs)
	t.gauge("flux_jobs_uncounted", fmt.Sprintf("Pending jobs after the first %d, which the pending and demanded resources do not include.", maxWaiting), s.uncounted)
	t.gauge("flux_nodes_demanded", "Pods that suffice for all running jobs and all pending jobs that could run.", s.demand.nodes)
	if len(application) > 0 {
		t.family("flux_application_metric", "Metrics that the application has set.")
	}
	for _, v := range application {
		fmt.Fprintf(&t, "flux_application_metric{name=%q} %s\n", v.Name, strconv.FormatFloat(v.Value, 'f', -1, 64))
	}
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
		{"", "exist at the maximum size", all},
		{"_up", "can run jobs", up},
		{"_free", "are free", free},
		{"_allocated", "are allocated to jobs", allocated},
		{"_drained", "are drained and get no new jobs", drainedSet},
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
