package metricsapi_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// becomes waits for a size and a reason of the condition Autoscaling.
func (f *fixture) becomes(name string, size int32, reason string) {
	f.Helper()
	f.Eventually(fmt.Sprintf("size %d and %s", size, reason), func(ctx context.Context) (string, error) {
		mc, err := f.MiniClusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		c := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionAutoscaling)
		if mc.RequestedSize() == size && c != nil && c.Reason == reason {
			return "", nil
		}
		return fmt.Sprintf("size %d, %v", mc.RequestedSize(), c), nil
	})
}

// TestAutoscalingField: with spec.autoscaling alone, a cluster has the size that its jobs need, and its minimum when
// they have ended. An autoscaler of a user takes the place of that of the controller.
func TestAutoscalingField(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Create("scaled", 1, user.MaxSize(6), func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Autoscaling = &v1alpha2.Autoscaling{IdleSeconds: new(int32(2))}
	})
	f.agent("scaled").Say("flux_nodes_demanded 4")
	f.becomes("scaled", 4, v1alpha2.ReasonAutoscalerActive)
	f.agent("scaled").Say("flux_nodes_demanded 0")
	f.becomes("scaled", 1, v1alpha2.ReasonAutoscalerActive)

	hpas := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace)
	hpa, err := hpas.Get(t.Context(), "scaled", metav1.GetOptions{})
	require.NoError(t, err)
	own := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "own"}, Spec: hpa.Spec}
	_, err = hpas.Create(t.Context(), own, metav1.CreateOptions{})
	require.NoError(t, err)
	f.becomes("scaled", 1, v1alpha2.ReasonOtherAutoscaler)
}
