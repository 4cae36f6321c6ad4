package fluxsource

import (
	"errors"
	"time"

	"k8s.io/component-base/metrics"
)

// observer counts what the collector does.
type observer struct {
	rounds   *metrics.Histogram
	results  *metrics.CounterVec
	clusters *metrics.Gauge
}

func newObserver(registry metrics.KubeRegistry) *observer {
	o := &observer{
		rounds: metrics.NewHistogram(&metrics.HistogramOpts{
			Namespace: "minicluster_metrics", Name: "round_duration_seconds",
			Help:           "Time of one round, in which every agent is asked once.",
			Buckets:        metrics.ExponentialBuckets(0.005, 4, 8),
			StabilityLevel: metrics.ALPHA,
		}),
		results: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "minicluster_metrics", Name: "collections_total",
			Help:           "Agents that were asked, by answer: done, broker_silent, agent_silent.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
		clusters: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "minicluster_metrics", Name: "agents",
			Help:           "Agents of lead brokers that the last round asked.",
			StabilityLevel: metrics.ALPHA,
		}),
	}
	registry.MustRegister(o.rounds, o.results, o.clusters)
	// What has not happened yet is there, as 0: for Prometheus, a counter that appears with 1 has not increased.
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
