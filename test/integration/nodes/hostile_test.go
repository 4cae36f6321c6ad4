package nodes_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

const interrupted = `{"spec":{"taints":[{"key":"aws-node-termination-handler/spot-itn","effect":"NoSchedule"}]}}`

// tracked waits until the Job controller tracks the pods of three ranks, and none has a state.
func (f *fixture) tracked() {
	f.Helper()
	f.Eventually("pods without a state", func(context.Context) (string, error) {
		for index := range int32(3) {
			pod := f.findPod(index)
			if pod == nil || pod.Labels[v1alpha2.LabelRankState] != "" || len(pod.Finalizers) != 1 {
				return fmt.Sprintf("pod %d: %+v", index, pod), nil
			}
		}
		return "", nil
	})
}

// All nodes are interrupted at once. The busy rank keeps its pod, and so does the lead, since a job runs. The third pod
// has no other node to go to, until the interruption ends.
func TestAllNodesAreInterrupted(t *testing.T) {
	f := newFixture(t, "interrupted")
	f.agent.Run(0, 1)
	lead, one, two := f.pod(0), f.pod(1), f.pod(2)
	nodes, err := suite.Cluster(t).Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for i := range nodes.Items {
		f.patchNode(nodes.Items[i].Name, interrupted)
	}
	f.rankState(0, v1alpha2.RankDraining)
	f.rankState(1, v1alpha2.RankDraining)
	f.WaitForEvent(f.name, "PodEvicted", two.Name, "spot-itn")
	f.Eventually("another pod of index 2", func(context.Context) (string, error) {
		if pod := f.findPod(2); pod == nil || pod.UID == two.UID || pod.Spec.NodeName != "" {
			return "it is missing, or has a node", nil
		}
		return "", nil
	})
	assert.Equal(t, lead.UID, f.pod(0).UID)
	assert.Equal(t, one.UID, f.pod(1).UID)
	f.restoreNodes()
	f.moved(2, two.UID)
	f.drained()
	f.WaitFor(f.name, f.Ready(3), noNodeDrains)
	f.tracked()
	assert.Equal(t, lead.UID, f.pod(0).UID)
	assert.Equal(t, one.UID, f.pod(1).UID)
}

// A node is deleted with a busy pod, without a drain before, or while it is cordoned. The rank must not get jobs.
func TestNodeIsRemoved(t *testing.T) {
	for _, cordoned := range []bool{false, true} {
		t.Run(fmt.Sprintf("cordoned %t", cordoned), func(t *testing.T) {
			f := newFixture(t, "removed")
			f.agent.Run(0, 1)
			pod := f.pod(1)
			kube := suite.Cluster(t)
			nodes := kube.Client().CoreV1().Nodes()
			before, err := nodes.Get(t.Context(), pod.Spec.NodeName, metav1.GetOptions{})
			require.NoError(t, err)
			t.Cleanup(func() {
				before.ResourceVersion, before.UID, before.Spec.Unschedulable, before.Spec.Taints = "", "", false, nil
				_, err := nodes.Create(context.Background(), before, metav1.CreateOptions{})
				require.NoError(t, err)
				require.NoError(t, kube.WaitForNodes(context.Background()))
			})
			if cordoned {
				f.patchNode(before.Name, `{"spec":{"unschedulable":true}}`)
				f.rankState(1, v1alpha2.RankDraining)
			}
			require.NoError(t, nodes.Delete(t.Context(), before.Name, metav1.DeleteOptions{}))
			f.drained("1: Kubernetes node " + before.Name + ": the node does not exist")
			// Kubernetes does this after a minute.
			now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
			err = f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), pod.Name, now)
			if !apierrors.IsNotFound(err) { // the garbage collector of pods may have been faster
				require.NoError(t, err)
			}
			f.moved(1, pod.UID)
			f.drained()
			f.WaitFor(f.name, f.Ready(3), noNodeDrains)
			f.tracked()
		})
	}
}

// A taint comes and goes many times below a busy rank, and stays away.
func TestTaintFlaps(t *testing.T) {
	f := newFixture(t, "flapping")
	f.agent.Run(1)
	pod := f.pod(1)
	for i := range 30 {
		f.patchNode(pod.Spec.NodeName, interrupted)
		if i%10 == 5 {
			f.rankState(1, v1alpha2.RankDraining)
		}
		f.patchNode(pod.Spec.NodeName, `{"spec":{"taints":null}}`)
	}
	f.drained()
	f.tracked()
	f.WaitFor(f.name, f.Ready(3), noNodeDrains)
	assert.Equal(t, pod.UID, f.pod(1).UID)
	// The first state that the agent reported is not the last one.
	f.patchNode(pod.Spec.NodeName, interrupted)
	f.rankState(1, v1alpha2.RankDraining)
	f.agent.Run()
	f.moved(1, pod.UID)
	f.drained()
}

// A cluster hibernates while a node is cordoned, and wakes up when the node takes pods again, or still does not.
func TestCordonDuringHibernation(t *testing.T) {
	f := newFixture(t, "winter", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Archive, mc.Spec.Hibernation = &v1alpha2.FluxArchive{Path: "/state/flux.tar"}, &v1alpha2.Hibernation{}
		mc.Spec.MinSize = 1
	})
	f.agent.Saves(control.HibernateState{Location: "/state/flux.tar", Checksum: "c0ffee", Demand: 3})
	node := f.pod(1).Spec.NodeName
	f.patchNode(node, `{"spec":{"unschedulable":true}}`)
	f.rankState(1, v1alpha2.RankDrained)
	f.patch(`{"spec":{"suspend":true}}`)
	f.WaitFor(f.name, user.Has(v1alpha2.ConditionHibernated, metav1.ConditionTrue, v1alpha2.ReasonHibernated), noNodeDrains)
	f.patchNode(node, `{"spec":{"unschedulable":null}}`)
	other := f.anotherNode(node)
	f.patchNode(other, `{"spec":{"unschedulable":true}}`)
	f.awaitFull(other)
	f.patch(`{"spec":{"suspend":false}}`)
	f.WaitFor(f.name, f.Ready(3), noNodeDrains)
	f.tracked()
	f.patchNode(f.pod(2).Spec.NodeName, `{"spec":{"unschedulable":true}}`)
	f.rankState(2, v1alpha2.RankDrained)
	f.drained("2: Kubernetes node " + f.pod(2).Spec.NodeName + ": the node is cordoned")
}

// anotherNode returns a node other than this one.
func (f *fixture) anotherNode(than string) string {
	f.Helper()
	nodes, err := suite.Cluster(f.T).Client().CoreV1().Nodes().List(f.Context(), metav1.ListOptions{})
	require.NoError(f, err)
	i := 0
	for nodes.Items[i].Name == than {
		i++
	}
	return nodes.Items[i].Name
}
