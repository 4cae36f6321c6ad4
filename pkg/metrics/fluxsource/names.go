package fluxsource

// metric is one number of the metrics API, and where the agent's exposition has it.
type metric struct {
	// name is that of the metrics API.
	name string
	// family is the agent's metric, state the value of its only label, "" for none.
	family, state string
	// size tells that it is a size for the MiniCluster, which is then one that is granted.
	size bool
	// demand tells that it adds up what jobs want that wait. Where Uncounted is not 0
	// it is a lower bound.
	demand bool
}

// Uncounted is the number of waiting jobs that come after those whose demand was added
// up.
const Uncounted = "jobs_uncounted_count"

// MetricSizeDemanded is the size that a MiniCluster wants, within its bounds: an autoscaler that
// asked for another would be denied each time.
const MetricSizeDemanded = "size_demanded"

// table lists the metrics. The first ones have the names of flux-metrics-api, which
// the tutorial uses, and the others follow them.
func table() []metric {
	metrics := []metric{
		{name: "node_up_count", family: "flux_nodes_up"},
		{name: "node_free_count", family: "flux_nodes_free"},
		{name: "node_cores_up_count", family: "flux_cores_up"},
		{name: "node_cores_free_count", family: "flux_cores_free"},
	}
	for _, state := range []string{"new", "depend", "priority", "sched", "run", "cleanup", "inactive"} {
		metrics = append(metrics, metric{name: "job_queue_state_" + state + "_count", family: "flux_jobs", state: state})
	}
	metrics = append(metrics,
		metric{name: MetricSizeDemanded, family: "flux_nodes_demanded", size: true, demand: true},
		metric{name: "nodes_pending", family: "flux_nodes_pending", demand: true},
		metric{name: "cores_pending", family: "flux_cores_pending", demand: true},
		metric{name: "gpus_pending", family: "flux_gpus_pending", demand: true},
		metric{name: Uncounted, family: "flux_jobs_uncounted"},
		metric{name: "node_gpus_up_count", family: "flux_gpus_up"},
		metric{name: "node_gpus_free_count", family: "flux_gpus_free"},
	)
	for _, what := range []string{"allocated", "drained", "offline"} {
		metrics = append(metrics,
			metric{name: "node_" + what + "_count", family: "flux_nodes_" + what},
			metric{name: "node_cores_" + what + "_count", family: "flux_cores_" + what},
			metric{name: "node_gpus_" + what + "_count", family: "flux_gpus_" + what},
		)
	}
	for _, result := range []string{"successful", "failed", "canceled", "timeout"} {
		metrics = append(metrics, metric{name: "job_result_" + result + "_count", family: "flux_jobs_ended", state: result})
	}
	for _, state := range []string{"join", "init", "quorum", "run", "cleanup", "shutdown"} {
		metrics = append(metrics, metric{name: "broker_state_" + state, family: "flux_broker_state", state: state})
	}
	for _, status := range []string{"full", "partial", "degraded", "lost", "offline"} {
		metrics = append(metrics, metric{name: "overlay_health_" + status, family: "flux_overlay_health", state: status})
	}
	return metrics
}
