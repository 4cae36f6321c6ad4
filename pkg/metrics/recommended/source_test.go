package recommended

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// number is a source of one value of the MiniCluster ns/a, or of an error.
type number struct {
	metrics.Source
	n   int64
	err error
	at  time.Time
}

func (n *number) CustomValues(context.Context, metrics.Query) ([]metrics.Value, error) {
	if n.err != nil {
		return nil, n.err
	}
	return []metrics.Value{{Namespace: "ns", Name: "a", Quantity: *resource.NewQuantity(n.n, resource.DecimalSI), At: n.at}}, nil
}

func TestRecommended(t *testing.T) {
	now := time.Now()
	clock := clocktesting.NewFakeClock(now)
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	mc := &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "uid"}}
	mc.Spec.Size = new(int32(5))
	require.NoError(t, store.Add(mc))
	demand, fitting := &number{n: 4, at: now}, &number{n: 10, at: now.Add(-time.Second)}
	s := New(Options{
		MiniClusters: listers.NewMiniClusterLister(store), Demand: demand, Fitting: fitting, Clock: clock,
		DemandMetric: "size_demanded", FittingMetric: "size_fitting", Interval: time.Second, Synced: func() bool { return true },
	})
	query := metrics.Query{
		Info: metrics.Info{Resource: v1alpha2.Resource("miniclusters"), Metric: metricSizeRecommended}, Namespace: "ns", Name: "a", Selector: labels.Everything(),
	}
	size := func() int64 {
		t.Helper()
		values, err := s.CustomValues(t.Context(), query)
		require.NoError(t, err)
		require.Len(t, values, 1)
		assert.Equal(t, fitting.at, values[0].At, "the older one")
		return values[0].Quantity.Value()
	}
	assert.Equal(t, int64(4), size(), "without autoscaling, the demand of this moment")
	mc.Spec.Autoscaling = &v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingRecommended, IdleSeconds: new(int32(60))}
	assert.Equal(t, int64(5), size(), "the demand of the time before the start is unknown")
	fitting.n = 3
	assert.Equal(t, int64(3), size(), "less room counts at once")
	fitting.n = 10
	clock.Step(61 * time.Second)
	assert.Equal(t, int64(4), size())
	demand.n = 7
	s.record(t.Context())
	demand.n = 0
	clock.Step(50 * time.Second)
	assert.Equal(t, int64(7), size(), "a short pause")
	clock.Step(11 * time.Second)
	assert.Equal(t, int64(0), size())

	fitting.err = errors.New("no Job")
	_, err := s.CustomValues(t.Context(), query)
	require.EqualError(t, err, "no Job")
	mc.Status.Hibernation = &v1alpha2.HibernationStatus{}
	mc.Status.Conditions = []metav1.Condition{{Type: v1alpha2.ConditionHibernated, Status: metav1.ConditionTrue, Reason: v1alpha2.ReasonHibernated}}
	demand.n = 6
	values, err := s.CustomValues(t.Context(), query)
	require.NoError(t, err)
	require.Len(t, values, 1)
	assert.Equal(t, int64(6), values[0].Quantity.Value(), "without pods, only the demand is known")

	demand.err = errors.New("no broker")
	_, err = s.CustomValues(t.Context(), query)
	require.EqualError(t, err, "no broker")
	require.NoError(t, store.Delete(mc))
	s.record(t.Context())
	assert.Empty(t, s.windows)
}
