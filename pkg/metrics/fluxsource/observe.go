package fluxsource

import (
	"errors"
	"time"

	"k8s.io/component-base/metrics"
)

// observer records metrics of the collector.
type observer struct {
	rounds   *metrics.Histogram
	results  *metrics.CounterVec
	clusters *metrics.Gauge
}

func newObserver(registry metrics.KubeRegistry) *observer {
	o := &observer{
		rounds: metrics.NewHistogram(&metrics.HistogramOpts{
			Namespace: "minicluster_metrics", Name: "round_duration_seconds",
			Help:           "Duration of a round, in which every agent is queried once.",
			Buckets:        metrics.ExponentialBuckets(0.005, 4, 8),
			StabilityLevel: metrics.ALPHA,
		}),
		results: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "minicluster_metrics", Name: "collections_total",
			Help:           "Queries to agents by result: done, broker_silent, agent_silent.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
		clusters: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "minicluster_metrics", Name: "agents",
			Help:           "Agents of lead brokers that were queried in the last round.",
			StabilityLevel: metrics.ALPHA,
		}),
	}
	registry.MustRegister(o.rounds, o.results, o.clusters)
	// Initialize all counters with 0: Prometheus sees no increase in a counter that appears with 1.
	for _, result := range []string{"done", "broker_silent", "agent_silent"} {
		o.results.WithLabelValues(result)
	}
	return o
}

func (o *observer) round(targets int, took time.Duration) {
	o.clusters.Set(float64(targets))
	o.rounds.Observe(took.Seconds())
}

func (o *observer) collected(err error) {
	result := "done"
	switch {
	case errors.Is(err, errBrokerSilent):
		result = "broker_silent"
	case err != nil:
		result = "agent_silent"
	}
	o.results.WithLabelValues(result).Inc()
}
