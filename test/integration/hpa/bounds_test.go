package hpa_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// The bounds of the autoscaler are wider than the cluster's: requests beyond the cluster's bounds are rejected, and
// never reach the Job. Above the maximum, the cluster gets the maximum; below the minimum, it keeps its size.
func TestAutoscalerBeyondTheBounds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("wide", func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = 2 })
	follow := f.follow("wide")
	f.autoscale(miniCluster("wide"), 1, 6, half())

	f.load(user.Selector("wide"), "500m")
	f.waitForRejection("wide", v1alpha2.ReasonAboveMaximum, "size 6", "maximum is 4")
	f.waitForSize("wide", 4)
	f.waitForHPA("wide", "to want more", func(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
		if hpa.Status.DesiredReplicas != 6 || hpa.Status.CurrentReplicas != 4 {
			return fmt.Sprintf("%d of %d", hpa.Status.CurrentReplicas, hpa.Status.DesiredReplicas)
		}
		return ""
	})

	f.load(user.Selector("wide"), "1m")
	f.waitForRejection("wide", v1alpha2.ReasonBelowMinimum, "size 1", "minimum is 2")
	f.waitForSize("wide", 4) // reset to the previous size, so it does not shrink either
	assert.EqualValues(t, 4, follow(), "the largest size of the Job")
}

// waitForRejection waits until a MiniCluster reports that a size was rejected, and why.
func (f *fixture) waitForRejection(name, reason string, parts ...string) {
	f.Helper()
	f.eventually("rejection "+reason, func(ctx context.Context) (string, error) {
		mc, err := f.MiniClusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return user.Has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, reason, parts...)(mc), nil
	})
}

// Terminating pods do not count, neither in the size nor in the measurement of the autoscaler, however busy they are.
// If requested again, their indexes are recreated when they have ended.
func TestPodsThatAreBeingStopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("slow", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationTerminateAfter: cluster.Forever, cluster.AnnotationCPU: "500m"}}
	})
	f.load(user.Selector("slow"), "1m")
	f.autoscale(miniCluster("slow"), 1, 4, half())
	f.waitForSize("slow", 1)
	stopping, err := f.Kube.CoreV1().Pods(f.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: user.Selector("slow")})
	require.NoError(t, err)
	require.Len(t, stopping.Items, 2, "one pod is terminating, and does not count")

	// The remaining pod gets busy, and the autoscaler requests the other three indexes while one of their pods still
	// terminates.
	f.load(user.Selector("slow"), "500m")
	f.eventually("growth", func(ctx context.Context) (string, error) {
		mc, err := f.MiniClusters().Get(ctx, "slow", metav1.GetOptions{})
		if err != nil || mc.RequestedSize() == 4 {
			return "", err
		}
		return fmt.Sprintf("spec.size is %d", mc.RequestedSize()), nil
	})
	require.NoError(t, f.Cluster.ReleasePods(t.Context(), f.Namespace, user.Selector("slow")))
	f.waitForSize("slow", 4)
}
