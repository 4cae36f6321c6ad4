package failures_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// A node without heartbeats is reported. A forced deletion of its pod does not start another one; marking the node as
// out of service does.
func TestNodeIsLost(t *testing.T) {
	t.Parallel()
	kube := clustertest.Own(t, cluster.Options{Nodes: 1, ControllerManagerArgs: []string{
		"--node-monitor-grace-period=4s", "--node-monitor-period=500ms",
	}}, user.Manifests, programs.Controller(func(o *app.Options) { o.PodDiagnosisDelay = slowStart }))
	f := &fixture{user.NewFixture(t, kube)}
	f.Create("alone", 2)
	f.WaitFor("alone", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	pod := f.podOfIndex("alone", "1")
	require.NoError(t, kube.StopNodes())
	f.WaitFor("alone", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonNodeLost, "which does not respond", "kubectl delete node node-0"))

	pods := f.Kube.CoreV1().Pods(f.Namespace)
	require.NoError(t, pods.Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	f.WaitFor("alone", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonNodeLost))
	stays, err := pods.Get(t.Context(), pod.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{batchv1.JobTrackingFinalizer}, stays.Finalizers, "the Job waits until it has failed")
	assert.Equal(t, corev1.PodRunning, stays.Status.Phase)

	_, err = kube.Kubectl(t.Context(), "taint", "node", "node-0", "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
	require.NoError(t, err)
	f.Eventually("another pod takes its place", func(ctx context.Context) (string, error) {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "hpa-selector=alone," + batchv1.JobCompletionIndexAnnotation + "=1"})
		for i := range list.Items {
			if p := &list.Items[i]; p.UID != pod.UID && p.DeletionTimestamp == nil {
				return "", err
			}
		}
		return "there is none", err
	})
}
