package fluxsource

// metric maps a metric of the API to a metric of the agent.
type metric struct {
	// name in the metrics API.
	name string
	// family is the name of the agent's metric, state the value of its only label or "".
	family, state string
	// size marks a size of the MiniCluster, which is limited to its bounds.
	size bool
	// demand marks a sum over pending jobs, which is a lower bound if metricUncounted is not 0.
	demand bool
}

// metricUncounted is the number of pending jobs whose demand is not included.
const metricUncounted = "jobs_uncounted_count"

// MetricSizeDemanded is the size that the jobs of a MiniCluster need, within its bounds: the controller
// would reject any other size that an autoscaler set.
const MetricSizeDemanded = "size_demanded"

// table returns all metrics. The first ones have the names of flux-metrics-api, which the tutorial uses.
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
		metric{name: metricUncounted, family: "flux_jobs_uncounted"},
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
