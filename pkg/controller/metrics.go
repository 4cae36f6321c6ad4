package controller

import (
	"time"

	"k8s.io/component-base/metrics"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// syncResult is how a sync ended; it is a metric label, so there are few.
type syncResult string

const (
	resultDone     syncResult = "done"
	resultStale    syncResult = "stale_cache"
	resultHeld     syncResult = "name_held"
	resultTerminal syncResult = "invalid"
	resultError    syncResult = "error"
)

// Metrics count what the controller does.
type Metrics struct {
	syncs  *metrics.HistogramVec
	scales *metrics.CounterVec
	drains *metrics.CounterVec
}

// NewMetrics makes metrics and registers them.
func NewMetrics(registry metrics.KubeRegistry) *Metrics {
	m := &Metrics{
		syncs: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace:      "minicluster",
			Name:           "sync_duration_seconds",
			Help:           "Time of one sync of a MiniCluster, by how it ended: done, stale_cache, name_held, invalid, error.",
			Buckets:        metrics.ExponentialBuckets(0.0005, 4, 9),
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
		scales: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace:      "minicluster",
			Name:           "scale_requests_total",
			Help:           "Sizes that were asked for, by answer: accepted, above_maximum, below_minimum.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
		drains: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace:      "minicluster",
			Name:           "drains_total",
			Help:           "Shrinks that waited for ranks to become idle, by how the wait ended: idle, timed_out, skipped.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
	}
	registry.MustRegister(m.syncs, m.scales, m.drains)
	// What has not happened yet is there, as 0: for Prometheus, a counter that appears with 1 has not increased.
	for _, result := range []string{"accepted", "above_maximum", "below_minimum"} {
		m.scales.WithLabelValues(result)
	}
	for _, result := range []string{"idle", "timed_out", "skipped"} {
		m.drains.WithLabelValues(result)
	}
	return m
}

func (m *Metrics) synced(result syncResult, took time.Duration) {
	m.syncs.WithLabelValues(string(result)).Observe(took.Seconds())
}

// scaled counts the answer to a size that was asked for, by its reason.
func (m *Metrics) scaled(reason string) {
	result := "accepted"
	switch reason {
	case v1alpha2.ReasonAboveMaximum:
		result = "above_maximum"
	case v1alpha2.ReasonBelowMinimum:
		result = "below_minimum"
	}
	m.scales.WithLabelValues(result).Inc()
}

// drained counts a shrink after a wait, by the reason of the event that tells why it did not wait any longer; "" where
// the ranks were idle.
func (m *Metrics) drained(reason string) {
	result := "idle"
	switch reason {
	case "DrainTimedOut":
		result = "timed_out"
	case "DrainSkipped":
		result = "skipped"
	}
	m.drains.WithLabelValues(result).Inc()
}
