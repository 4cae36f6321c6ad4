package metricsapi_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
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

// TestAutoscalingToZero: with scaleToZero, a stock autoscaler hibernates a cluster without jobs, and wakes it at the
// size that the saved jobs need.
func TestAutoscalingToZero(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const archive = "/state/archive.tar"
	f.Create("sleeper", 1, user.MaxSize(6), func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Autoscaling = &v1alpha2.Autoscaling{IdleSeconds: new(int32(2))}
		mc.Spec.Archive, mc.Spec.Hibernation = &v1alpha2.FluxArchive{Path: archive}, &v1alpha2.Hibernation{ScaleToZero: true}
	})
	f.agent("sleeper").Say("flux_nodes_demanded 3")
	f.becomes("sleeper", 3, v1alpha2.ReasonAutoscalerActive)
	f.WaitFor("sleeper", f.Ready(3))

	leads.Of("sleeper").Saves(control.HibernateState{Held: 2, Location: archive, Bytes: 100, Checksum: "c0ffee"})
	f.agent("sleeper").Say("flux_nodes_demanded 0")
	hibernated := user.Has(v1alpha2.ConditionHibernated, metav1.ConditionTrue, v1alpha2.ReasonHibernated)
	mc := f.WaitFor("sleeper", hibernated, user.SpecSize(0))
	require.Equal(t, v1alpha2.CauseScaledToZero, mc.Status.Hibernation.Cause)

	// A user wakes it, and jobs are submitted while it begins to hibernate again.
	leads.Of("sleeper").Saves(control.HibernateState{Pending: 9, Demand: 4, Location: archive, Bytes: 100, Checksum: "c0ffee"})
	before := mc.Status.JobID
	f.agent("sleeper").Say("flux_nodes_demanded 2")
	f.wakes("sleeper", 2)
	f.agent("sleeper").Say("flux_nodes_demanded 0")
	f.WaitFor("sleeper", hibernated)
	f.agent("sleeper").Say("flux_nodes_demanded 4")
	mc = f.WaitFor("sleeper", f.Ready(4))
	require.NotEqual(t, before, mc.Status.JobID)
}

// wakes writes a size of a cluster that hibernates, and waits until it is ready. An autoscaler that reads the demand
// before the metrics API server has seen the size writes 0 once more.
func (f *fixture) wakes(name string, size int32) {
	f.Helper()
	f.Eventually("MiniCluster "+name+" to wake", func(ctx context.Context) (string, error) {
		mc, err := f.MiniClusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if mc.RequestedSize() == 0 {
			f.SetSize(name, size)
		}
		return f.Ready(size)(mc), nil
	})
}
