package resources

import (
	"math"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// BuildDisruptionBudget builds the disruption budget of a MiniCluster. It refuses to evict any of its pods, except
// those whose ranks are drained or idle: these have a label, so that the budget does not select them. Only an integer
// minAvailable works for pods of a Job. It is more than any cluster has, so that it does not change with the size,
// or with the maximum after a hibernation.
func BuildDisruptionBudget(mc *v1alpha2.MiniCluster) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: objectMeta(mc, mc.Name),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(math.MaxInt32)),
			Selector: &metav1.LabelSelector{
				MatchLabels: map[string]string{v1alpha2.LabelHPASelector: mc.Name},
				MatchExpressions: []metav1.LabelSelectorRequirement{{
					Key: v1alpha2.LabelRankState, Operator: metav1.LabelSelectorOpNotIn, Values: []string{v1alpha2.RankDrained, v1alpha2.RankIdle},
				}},
			},
			// A pod that runs and is not ready has no broker in the instance.
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
}
