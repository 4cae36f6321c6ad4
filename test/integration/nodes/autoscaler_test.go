package nodes_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// says creates an event of cluster-autoscaler about a pod, as it does itself.
func (f *fixture) says(pod *corev1.Pod, reason, message string) {
	f.Helper()
	now := metav1.Now()
	_, err := f.Kube.CoreV1().Events(f.Namespace).Create(f.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: pod.Name + "."},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Reason:         reason, Message: message, Type: corev1.EventTypeNormal,
		Source: corev1.EventSource{Component: "cluster-autoscaler"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	require.NoError(f, err)
}

// The condition Progressing quotes what cluster-autoscaler says about a pod that fits no node. This autoscaler is not
// real: its module cannot be built from the module proxy.
func TestClusterAutoscalerReports(t *testing.T) {
	f := newFixture(t, "autoscaled", user.MaxSize(6))
	nodes, err := f.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for i := range nodes.Items {
		f.patchNode(nodes.Items[i].Name, `{"spec":{"taints":[{"key":"example.com/full","effect":"NoSchedule"}]}}`)
	}
	f.awaitFull("")
	f.SetSize(f.name, 4)
	var pod *corev1.Pod
	f.Eventually("the pod", func(context.Context) (string, error) {
		if pod = f.findPod(3); pod == nil {
			return "it does not exist", nil
		}
		return "", nil
	})
	reports := func(parts ...string) {
		t.Helper()
		f.WaitFor(f.name, user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonUnschedulable, parts...))
	}
	f.says(pod, "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")
	reports("fits no node", "cluster-autoscaler reports: pod didn't trigger scale-up: 1 max node group size reached")
	f.says(pod, "TriggeredScaleUp", "pod triggered scale-up: [{workers 3->4 (max: 9)}]")
	reports("pod " + pod.Name + " waits for a new node; cluster-autoscaler reports: pod triggered scale-up: [{workers 3->4 (max: 9)}]")
}
