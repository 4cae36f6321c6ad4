package metrics

import (
	"time"

	"k8s.io/component-base/metrics"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// SyncResult is how a sync ended, a label of a metric.
type SyncResult string

// Results of syncs.
const (
	SyncDone                 SyncResult = "done"
	SyncDelayed              SyncResult = "delayed"
	SyncStale                SyncResult = "stale_cache"
	SyncWaiting              SyncResult = "waiting"
	SyncNameConflict         SyncResult = "name_conflict"
	SyncNamespaceTerminating SyncResult = "namespace_terminating"
	SyncInvalid              SyncResult = "invalid"
	SyncError                SyncResult = "error"
)

// Metrics count what the controller does.
type Metrics struct {
	syncs  *metrics.HistogramVec
	scales *metrics.CounterVec
	drains *metrics.CounterVec
	waits  *metrics.HistogramVec
}

// NewMetrics creates metrics and registers them.
func NewMetrics(registry metrics.KubeRegistry) *Metrics {
	m := &Metrics{
		syncs: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace:      "minicluster",
			Name:           "sync_duration_seconds",
			Help:           "Duration of one sync of a MiniCluster, by result: done, delayed, stale_cache, waiting, name_conflict, namespace_terminating, invalid, error.",
			Buckets:        metrics.ExponentialBuckets(0.0005, 4, 9),
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
		scales: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace:      "minicluster",
			Name:           "scale_requests_total",
			Help:           "Requested sizes by answer: accepted, above_maximum, below_minimum, not_elastic, unschedulable.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
		drains: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace:      "minicluster",
			Name:           "drains_total",
			Help:           "Shrinks that waited for ranks to become idle, by how the wait ended: idle, timed_out, skipped.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"}),
	}
	m.waits = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace:      "minicluster",
		Name:           "queue_wait_seconds",
		Help:           "Time that a MiniCluster waited for a worker, by priority: change, creation, readiness.",
		Buckets:        metrics.ExponentialBuckets(0.001, 4, 10),
		StabilityLevel: metrics.ALPHA,
	}, []string{"priority"})
	registry.MustRegister(m.syncs, m.scales, m.drains, m.waits)
	// Initialize all labels with 0: Prometheus does not see an increase in a counter that starts with 1.
	for _, result := range []string{"accepted", "above_maximum", "below_minimum", "not_elastic", "unschedulable"} {
		m.scales.WithLabelValues(result)
	}
	for _, result := range []DrainResult{DrainIdle, DrainTimedOut, DrainSkipped} {
		m.drains.WithLabelValues(string(result))
	}
	return m
}

// Synced counts a sync and its duration.
func (m *Metrics) Synced(result SyncResult, took time.Duration) {
	m.syncs.WithLabelValues(string(result)).Observe(took.Seconds())
}

// Waited counts the time that a MiniCluster waited for a worker.
func (m *Metrics) Waited(priority string, waited time.Duration) {
	m.waits.WithLabelValues(priority).Observe(waited.Seconds())
}

// Scaled counts the answer to a requested size, by its reason.
func (m *Metrics) Scaled(reason string) {
	result := "accepted"
	switch reason {
	case v1alpha2.ReasonAboveMaximum:
		result = "above_maximum"
	case v1alpha2.ReasonBelowMinimum:
		result = "below_minimum"
	case v1alpha2.ReasonNotElastic:
		result = "not_elastic"
	case v1alpha2.ReasonUnschedulable:
		result = "unschedulable"
	}
	m.scales.WithLabelValues(result).Inc()
}

// DrainResult is how the wait before a Job shrinks ended, a label of a metric.
type DrainResult string

// Results of drains.
const (
	DrainIdle     DrainResult = "idle"
	DrainTimedOut DrainResult = "timed_out"
	DrainSkipped  DrainResult = "skipped"
)

// Drained counts a Job that shrinks after a drain.
func (m *Metrics) Drained(result DrainResult) { m.drains.WithLabelValues(string(result)).Inc() }
