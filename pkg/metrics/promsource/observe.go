package promsource

import (
	"time"

	"k8s.io/component-base/metrics"
)

// observer records metrics of queries.
type observer struct {
	queries *metrics.GaugeVec
	runs    *metrics.HistogramVec
}

func newObserver(registry metrics.KubeRegistry) *observer {
	o := &observer{
		queries: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: "minicluster_metrics", Name: "queries",
			Help:           "Queries in the ConfigMap by the state after their last run: new, ok, failed, invalid.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"state"}),
		runs: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: "minicluster_metrics", Name: "query_duration_seconds",
			Help:           "Duration of a query to Prometheus by result: ok, failed, invalid.",
			Buckets:        metrics.ExponentialBuckets(0.005, 4, 7),
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
	}
	registry.MustRegister(o.queries, o.runs)
	return o
}

func (o *observer) run(result state, took time.Duration) {
	o.runs.WithLabelValues(string(result)).Observe(took.Seconds())
}

// count sets the number of queries by state.
func (o *observer) count(queries map[string]*query) {
	count := map[state]int{}
	for _, q := range queries {
		count[q.state()]++
	}
	for _, s := range states() {
		o.queries.WithLabelValues(string(s)).Set(float64(count[s]))
	}
}
