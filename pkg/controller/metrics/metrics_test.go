package metrics

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/component-base/metrics"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestMetricsBeginAtZero(t *testing.T) {
	registry := metrics.NewKubeRegistry()
	m := NewMetrics(registry)
	counted := func() map[string]float64 {
		families, err := registry.Gather()
		require.NoError(t, err)
		values := map[string]float64{}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				values[family.GetName()+" "+metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
			}
		}
		return values
	}
	assert.Equal(t, map[string]float64{
		"minicluster_drains_total idle": 0, "minicluster_drains_total timed_out": 0, "minicluster_drains_total skipped": 0,
		"minicluster_scale_requests_total accepted": 0, "minicluster_scale_requests_total above_maximum": 0, "minicluster_scale_requests_total below_minimum": 0,
		"minicluster_scale_requests_total not_elastic":   0,
		"minicluster_scale_requests_total unschedulable": 0,
	}, counted())

	m.Drained(DrainTimedOut)
	m.Drained(DrainSkipped)
	m.Drained(DrainIdle)
	m.Scaled(v1alpha2.ReasonAboveMaximum)
	m.Scaled(v1alpha2.ReasonBelowMinimum)
	m.Scaled(v1alpha2.ReasonNotElastic)
	m.Scaled(v1alpha2.ReasonUnschedulable)
	m.Scaled(v1alpha2.ReasonWithinBounds)
	for name, value := range counted() {
		assert.InDelta(t, 1, value, 0, name)
	}
}
