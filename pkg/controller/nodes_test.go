package controller

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain"
)

func TestSlimNode(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: "a", UID: "1", ResourceVersion: "2", Labels: map[string]string{"c": "d"},
			Annotations: map[string]string{v1alpha2.AnnotationDrain: "fan", "e": "f"},
		},
		Spec: corev1.NodeSpec{
			Unschedulable: true, ProviderID: "g", Taints: []corev1.Taint{{Key: "karpenter.sh/disrupted", Effect: corev1.TaintEffectNoSchedule}},
		},
		Status: corev1.NodeStatus{Images: []corev1.ContainerImage{{Names: []string{"h"}}}},
	}
	slim, err := slimNode(node)
	require.NoError(t, err)
	assert.Equal(t, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1", ResourceVersion: "2", Annotations: map[string]string{v1alpha2.AnnotationDrain: "fan"}},
		Spec:       corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: "karpenter.sh/disrupted"}}},
	}, slim)
	assert.Equal(t, drain.StateOfNode(node, drain.DefaultDeletionTaints()), drain.StateOfNode(slim.(*corev1.Node), drain.DefaultDeletionTaints()))
}

func TestNodeWatch(t *testing.T) {
	key, other := cache.NewObjectName("default", "one"), cache.NewObjectName("default", "two")
	var woken []cache.ObjectName
	clock := testclock.NewFakeClock(time.Unix(1_000_000, 0))
	w, _, err := newNodeWatch(NewNodeInformer(fake.NewClientset()), drain.DefaultDeletionTaints(), clock, func(key cache.ObjectName) {
		woken = append(woken, key)
	})
	require.NoError(t, err)
	t.Cleanup(w.queue.ShutDown)
	wakes := func() []cache.ObjectName {
		defer func() { woken = nil }()
		return woken
	}
	cordoned := drain.NodeState{Reason: "cordoned"}
	pods := func(key cache.ObjectName, pods ...drain.NodePod) map[cache.ObjectName][]drain.NodePod {
		return map[cache.ObjectName][]drain.NodePod{key: pods}
	}
	pod := drain.NodePod{Name: "one-3", UID: "3", Index: 3, Job: "job"}

	assert.False(t, w.load("a", key, true), "its pods are listed first")
	name, _ := w.queue.Get()
	w.queue.Done(name)
	assert.Equal(t, nodeListInterval, w.update("a", cordoned, pods(key, pod)))
	assert.True(t, w.load("a", key, true))
	assert.Equal(t, []cache.ObjectName{key}, wakes())
	drains, returned := w.of(key, "job")
	assert.Equal(t, []drain.Node{{Name: "a", NodeState: cordoned, Since: clock.Now(), Pods: []drain.NodePod{pod}}}, drains)
	assert.Empty(t, returned)
	drains, _ = w.of(key, "earlier")
	assert.Empty(t, drains, "pods of another Job")
	drains, _ = w.of(other, "job")
	assert.Empty(t, drains)

	w.setState("a", key, "3", v1alpha2.RankDrained)
	pod.State = v1alpha2.RankDrained
	w.update("a", cordoned, pods(key, pod))
	assert.Empty(t, wakes(), "nothing has changed")
	assert.Equal(t, nodeListInterval, w.update("a", drain.NodeState{}, pods(key, pod, drain.NodePod{Name: "one-4", UID: "4", Index: 4, Job: "job"})))
	assert.Equal(t, []cache.ObjectName{key}, wakes())
	drains, returned = w.of(key, "job")
	assert.Empty(t, drains)
	assert.Equal(t, []drain.Node{{Name: "a", Since: clock.Now(), Pods: []drain.NodePod{pod}}}, returned, "pods with a state to reset")
	w.forget(key, []string{"a"})
	assert.True(t, w.load("a", key, true), "it is not forgotten before that")
	leaves := pod
	leaves.Terminating = true
	w.update("a", drain.NodeState{}, pods(key, leaves))
	_, returned = w.of(key, "job")
	assert.Empty(t, returned, "a pod that is being deleted must not delay that other ranks are undrained")
	w.update("a", drain.NodeState{}, pods(key, pod))
	wakes()
	w.setState("a", key, "3", "")
	w.forget(key, []string{"a", "b"})
	assert.False(t, w.load("a", key, true))

	assert.Equal(t, nodeBindTime, w.update("b", cordoned, nil), "a pod may just be bound")
	assert.Zero(t, w.update("b", cordoned, nil))
	w.update("b", drain.NodeState{}, nil)
	assert.NotContains(t, w.nodes, "b", "a node without pods that takes pods again")
	w.update("b", cordoned, pods(other, pod))
	assert.Equal(t, []cache.ObjectName{other}, wakes())
}

// Nodes that do not exist any more are forgotten, whatever the last step of their end was.
func TestNodeWatchForgetsNodes(t *testing.T) {
	key, other := cache.NewObjectName("default", "one"), cache.NewObjectName("default", "two")
	tainted := drain.NodeState{Reason: "tainted", Deleted: true}
	pods := map[cache.ObjectName][]drain.NodePod{key: {{Name: "one-3", UID: "3", Index: 3, Job: "job", State: v1alpha2.RankDrained}}}
	for name, end := range map[string]func(w *nodeWatch){
		"the agent answers, then the node is deleted": func(w *nodeWatch) {
			w.update("a", tainted, nil)
			w.forget(key, []string{"a"})
			w.update("a", drain.NodeState{}, nil)
		},
		"the node is deleted, then the agent answers": func(w *nodeWatch) {
			w.update("a", drain.NodeState{}, nil)
			require.Contains(t, w.nodes, "a", "its rank may be drained")
			w.forget(key, []string{"a"})
		},
		"two MiniClusters": func(w *nodeWatch) {
			w.load("a", other, true)
			w.update("a", drain.NodeState{}, nil)
			w.forget(key, []string{"a"})
			require.Contains(t, w.nodes, "a", "the status of the other one names it")
			w.forget(other, []string{"a"})
		},
		"the MiniCluster is deleted": func(w *nodeWatch) {
			w.forgetCluster(key)
			w.update("a", drain.NodeState{}, nil)
		},
		"the MiniCluster is deleted last": func(w *nodeWatch) {
			w.update("a", drain.NodeState{}, nil)
			w.forgetCluster(key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, err := newNodeWatch(NewNodeInformer(fake.NewClientset()), nil, testclock.NewFakeClock(time.Unix(1_000_000, 0)), func(cache.ObjectName) {})
			require.NoError(t, err)
			t.Cleanup(w.queue.ShutDown)
			w.update("a", tainted, maps.Clone(pods))
			assert.True(t, w.load("a", key, true))
			end(w)
			assert.Empty(t, w.nodes)
		})
	}
}

// Thousands of nodes that drain, with busy ranks, take few requests: their MiniClusters are synced every few seconds.
func TestNodeWatchOfManyNodes(t *testing.T) {
	const many = 5000
	key := cache.NewObjectName("default", "one")
	clock := testclock.NewFakeClock(time.Unix(1_000_000, 0))
	w, _, err := newNodeWatch(NewNodeInformer(fake.NewClientset()), nil, clock, func(cache.ObjectName) {})
	require.NoError(t, err)
	t.Cleanup(w.queue.ShutDown)
	var again time.Duration
	for i := range int32(many) {
		pods := map[cache.ObjectName][]drain.NodePod{key: {{Name: fmt.Sprint("one-", i), Index: i, Job: "job"}}}
		again = w.update(fmt.Sprint("node-", i), drain.NodeState{Reason: "cordoned"}, pods)
	}
	assert.Equal(t, many*nodeListPace, again)
	clock.Step(nodeListMin)
	nodes, _ := w.of(key, "job")
	require.Len(t, nodes, many)
	lists := func(version string) int {
		w.refresh(key, version, nodes)
		defer func() {
			for w.queue.Len() > 0 {
				name, _ := w.queue.Get()
				w.queue.Done(name)
			}
		}()
		return w.queue.Len()
	}
	assert.Equal(t, many, lists("1"))
	assert.Zero(t, lists("1"), "the Job has not changed")
	assert.Equal(t, many, lists("2"), "a pod may have left")
	w.forgetCluster(key)
	assert.Empty(t, w.jobs)
}

// Lists of nodes and reconciliations run at the same time; the race detector checks them.
func TestNodeWatchConcurrently(t *testing.T) {
	w, _, err := newNodeWatch(NewNodeInformer(fake.NewClientset()), nil, testclock.NewFakeClock(time.Unix(1_000_000, 0)), func(cache.ObjectName) {})
	require.NoError(t, err)
	t.Cleanup(w.queue.ShutDown)
	key, cordoned := cache.NewObjectName("default", "one"), drain.NodeState{Reason: "cordoned"}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 500 {
			w.update("a", cordoned, map[cache.ObjectName][]drain.NodePod{key: {{Name: "one-3", UID: "3", Index: 3, Job: "job"}}})
		}
	})
	wg.Go(func() {
		for range 500 {
			w.setState("a", key, "3", v1alpha2.RankDraining)
			w.evicted("a", key, "3")
			w.of(key, "job")
		}
	})
	wg.Wait()
	drains, _ := w.of(key, "job")
	assert.Len(t, drains, 1)
}
