package resources

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

func TestDisruptionBudget(t *testing.T) {
	mc := sample.MiniCluster()
	budget := BuildDisruptionBudget(mc)
	assert.True(t, metav1.IsControlledBy(budget, mc))
	assert.Equal(t, new(intstr.FromInt32(math.MaxInt32)), budget.Spec.MinAvailable,
		"a cluster that wakes with a larger maximum keeps the budget, which must not allow evictions then")
	assert.Equal(t, new(policyv1.AlwaysAllow), budget.Spec.UnhealthyPodEvictionPolicy)
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	require.NoError(t, err)
	for state, selected := range map[string]bool{"": true, v1alpha2.RankDraining: true, v1alpha2.RankDrained: false, v1alpha2.RankIdle: false} {
		pod := labels.Set{v1alpha2.LabelHPASelector: mc.Name}
		if state != "" {
			pod[v1alpha2.LabelRankState] = state
		}
		assert.Equal(t, selected, selector.Matches(pod), state)
	}
	assert.False(t, selector.Matches(labels.Set{v1alpha2.LabelHPASelector: "other"}))
}
