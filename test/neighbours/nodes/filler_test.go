package nodes_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/karpenter"
	"minicluster.internal/operator/test/framework/user"
)

// opportunistic makes a MiniCluster opportunistic. Its idle pods may be moved.
func opportunistic(mc *v1alpha2.MiniCluster) {
	mc.Spec.Opportunistic = &v1alpha2.Opportunistic{}
	mc.Spec.Disruption = &v1alpha2.Disruption{WhenIdle: v1alpha2.WhenIdleAllow}
}

// onExistingNodes selects nodes with a label that Karpenter sets when a node is ready, and that no NodePool offers.
func onExistingNodes(mc *v1alpha2.MiniCluster) {
	mc.Spec.Pod.NodeSelector["karpenter.sh/initialized"] = "true"
}

// Pods of an opportunistic MiniCluster that find no room buy a node, unless they select nodes that exist.
func TestFillerBuysNoNode(t *testing.T) {
	f := newFixture(t, "filler")
	f.CreateReady("paying", 1, f.inPool("3"))
	require.Len(t, f.nodes(), 1)
	f.CreateReady("filler", 1, f.inPool("3", opportunistic, onExistingNodes))
	f.SetSize("filler", 4) // one more fits
	f.WaitFor("filler", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonUnschedulable, "karpenter reports: Failed to schedule pod", "karpenter.sh/initialized"))
	f.WaitFor("filler", user.Sizes(4, 2))
	assert.Len(t, f.nodes(), 1, "pods that wait buy no node")

	// A node that is bought for others is used.
	f.SetSize("paying", 2)
	f.WaitFor("paying", f.Ready(2))
	f.WaitFor("filler", f.Ready(4))
	require.Len(t, f.nodes(), 2)

	// Without the selector, a node is bought for each pod that finds no room.
	f.SetSize("filler", 2)
	f.WaitFor("filler", f.Ready(2))
	f.CreateReady("greedy", 4, f.inPool("3", opportunistic))
	t.Logf("without the selector, 4 pods of an opportunistic MiniCluster resulted in %d nodes", len(f.nodes()))
	assert.Greater(t, len(f.nodes()), 2)
}

// With a lower priority, opportunistic pods are preempted by a paying pod. Karpenter then buys no node: neither for the
// paying pod, which has a nominated node, nor for the pod that was preempted, which selects nodes that exist.
func TestFillerIsPreempted(t *testing.T) {
	f := newFixture(t, "preempted")
	_, err := f.Kube.SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: "filler"}, Value: -100,
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	f.CreateReady("paying", 1, f.inPool("3"))
	f.CreateReady("filler", 2, f.inPool("3", opportunistic, onExistingNodes, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod.PriorityClassName = "filler"
	}))
	require.Len(t, f.nodes(), 1)
	f.SetSize("paying", 2)
	f.WaitFor("paying", f.Ready(2))
	f.WaitFor("filler", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonUnschedulable, "karpenter reports: Failed to schedule pod"))
	assert.Len(t, f.nodes(), 1)
}

// A node on which only opportunistic pods remain stays as long as they fit nowhere else, although they may be evicted:
// for Karpenter, they are pods like others.
func TestFillerKeepsNodes(t *testing.T) {
	f := newFixture(t, "keeps")
	f.CreateReady("paying", 2, f.inPool("6"))
	require.Len(t, f.nodes(), 2)
	f.CreateReady("filler", 2, f.inPool("3", opportunistic, onExistingNodes))
	second := f.pod("paying", 1).Spec.NodeName
	f.SetSize("paying", 1)
	f.WaitFor("paying", f.Ready(1))
	shrunk := time.Now()
	f.nodeEvent(second, "Unconsolidatable")
	require.Contains(t, f.nodes(), second)
	t.Logf("a node with one opportunistic pod was still there %s after the paying pod had left", round(time.Since(shrunk)))

	require.NoError(t, f.MiniClusters().Delete(t.Context(), "filler", metav1.DeleteOptions{}))
	t.Logf("it was gone %s after the opportunistic MiniCluster was deleted; the delays of Karpenter are %s in total", f.gone(second), f.delays())
}

// The condition Progressing says that a node is coming.
func TestWords(t *testing.T) {
	f := newFixture(t, "words", func(p *karpenter.Pool) { p.RegistrationDelay = 30 * time.Second })
	f.Create("words", 1, f.inPool("8"))
	mc := f.WaitFor("words", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonUnschedulable, "waits for a new node; karpenter reports: Pod should schedule on: nodeclaim/"))
	t.Logf("%s", meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionProgressing).Message)
	f.WaitFor("words", f.Ready(1))
	f.Eventually("the events", func(ctx context.Context) (string, error) {
		list, err := f.Kube.CoreV1().Events(f.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=MiniCluster,reason=Unschedulable"})
		if err != nil || len(list.Items) == 0 {
			return "", err
		}
		return fmt.Sprintf("%+v", list.Items), nil
	})
}
