package fluxsource

// metric is one number of the metrics API, and where the agent's exposition has it.
type metric struct {
	// name is that of the metrics API.
	name string
	// family is the agent's metric, state the value of its only label, "" for none.
	family, state string
	// capped values are never above the size that the MiniCluster may have.
	capped bool
}

// Demanded is the size that a MiniCluster wants, at most its maximum: an autoscaler
// that asked for more would be denied each time.
const Demanded = "nodes_demanded"

// table lists the metrics. The first ones have the names of flux-metrics-api, which
// the tutorial uses, and the others follow them.
func table() []metric {
	metrics := []metric{
		{name: "node_up_count", family: "flux_nodes_up"},
		{name: "node_free_count", family: "flux_nodes_free"},
		{name: "node_cores_up_count", family: "flux_cores_up"},
		{name: "node_cores_free_count", family: "flux_cores_free"},
	}
	for _, state := range []string{"depend", "priority", "sched", "run", "cleanup", "inactive"} {
		metrics = append(metrics, metric{name: "job_queue_state_" + state + "_count", family: "flux_jobs", state: state})
	}
	metrics = append(metrics,
		metric{name: Demanded, family: "flux_nodes_demanded", capped: true},
		metric{name: "nodes_pending", family: "flux_nodes_pending"},
		metric{name: "cores_pending", family: "flux_cores_pending"},
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
	return metrics
}
