package controller_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/cluster"
)

func unready(mc *v1alpha2.MiniCluster) {
	mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationUnready: "true"}}
}

// setReady decides whether the pods of some indexes are ready, once they run.
func (f *fixture) setReady(name string, ready bool, indexes ...int32) {
	f.Helper()
	pods := map[int32]string{}
	f.eventually("pods that run", func(ctx context.Context) (string, error) {
		list, err := f.kube.CoreV1().Pods(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: v1alpha2.LabelHPASelector + "=" + name})
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if index, ok := resources.PodIndex(pod); ok && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
				pods[index] = pod.Name
			}
		}
		for _, index := range indexes {
			if pods[index] == "" {
				return fmt.Sprintf("index %d does not run", index), nil
			}
		}
		return "", nil
	})
	for _, index := range indexes {
		require.NoError(f, f.cluster.SetPodReady(f.Context(), f.namespace, pods[index], ready))
	}
}

func readySize(size int32) check {
	return func(mc *v1alpha2.MiniCluster) string {
		if mc.Status.ReadySize != size {
			return fmt.Sprintf("%d pods are ready", mc.Status.ReadySize)
		}
		return ""
	}
}

// A cluster is ready when its lead is, however many other pods are.
func TestReadyFollowsTheLead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("lead", 4, unready, func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = 1 })
	f.setReady("lead", true, 1, 2, 3)
	f.waitFor("lead", readySize(3), has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonNotReady, "3 of 4 pods are ready", "lead broker"))
	f.setReady("lead", true, 0)
	f.waitFor("lead", f.ready(4))
	// The lead runs without followers that are lost.
	f.setReady("lead", false, 1, 2, 3)
	f.waitFor("lead", readySize(1), has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonReady, "1 of 4 pods are ready"))
	f.setReady("lead", false, 0)
	f.setReady("lead", true, 1, 2, 3)
	f.waitFor("lead", readySize(3), has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonNotReady))
}

// The controller sends a lowered quorum to a lead that waits for it, and not to one that runs.
func TestLoweredQuorumReachesTheLead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("waiting", 4, unready)
	f.setReady("waiting", true, 1, 2)
	f.waitFor("waiting", readySize(2))
	f.setSize("waiting", 3)
	f.eventually("the agent to be told", func(context.Context) (string, error) {
		if got := agents.Of("waiting").Quorums(); len(got) == 0 {
			return "it is not", nil
		}
		return "", nil
	})
	f.waitFor("waiting", readySize(2), has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonNotReady))
	f.setReady("waiting", true, 0)
	f.waitFor("waiting", f.ready(3))
	assert.Equal(t, []int{3}, agents.Of("waiting").Quorums())

	f.createReady("running", 3)
	f.setSize("running", 2)
	f.waitFor("running", f.ready(2))
	assert.Empty(t, agents.Of("running").Quorums())
}
