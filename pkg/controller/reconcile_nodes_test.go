package controller

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/flux"
)

// nodeRig is a controller with a MiniCluster whose idle pods may be evicted, and with the pod of its rank 1.
type nodeRig struct {
	t    *testing.T
	kube *fake.Clientset
	c    *Controller
	s    *syncState
}

func newNodeRig(t *testing.T) *nodeRig {
	t.Helper()
	clock := testclock.NewFakeClock(time.Unix(1_000_000, 0))
	r := &nodeRig{t: t, kube: fake.NewClientset()}
	nodes, _, err := newNodeWatch(NewNodeInformer(r.kube), nil, clock, func(cache.ObjectName) {})
	require.NoError(t, err)
	t.Cleanup(nodes.queue.ShutDown)
	r.c = &Controller{kube: r.kube, clock: clock, nodes: nodes, idleRanks: newIdleRanks(0), podReads: make(chan struct{}, 1)}

	mc := newMiniCluster("a", 4)
	mc.Namespace, mc.UID, mc.Spec.Interactive = "ns", "uid", true
	mc.Spec.Disruption = &v1alpha2.Disruption{WhenIdle: v1alpha2.WhenIdleAllow}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "job"}}
	r.s = &syncState{key: cache.NewObjectName("ns", "a"), job: job}
	r.s.setMiniCluster(mc)

	selector := resources.PodSelector(mc)
	set, err := metav1.ParseToLabelSelector(selector)
	require.NoError(t, err)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "a-1", UID: "1", Labels: set.MatchLabels, Finalizers: []string{batchv1.JobTrackingFinalizer},
		Annotations:     map[string]string{batchv1.JobCompletionIndexAnnotation: "1"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
	}}
	_, err = r.kube.CoreV1().Pods("ns").Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
	return r
}

// pod returns the label of the pod, whether autoscalers may evict it, and whether the Job controller tracks it.
func (r *nodeRig) pod() (state string, evictable, tracked bool) {
	r.t.Helper()
	pod, err := r.kube.CoreV1().Pods("ns").Get(r.t.Context(), "a-1", metav1.GetOptions{})
	require.NoError(r.t, err)
	return pod.Labels[v1alpha2.LabelRankState], pod.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "true",
		len(pod.Finalizers) == 1
}

func (r *nodeRig) want(wantState string, wantEvictable, wantTracked bool, message string) {
	r.t.Helper()
	state, evictable, tracked := r.pod()
	assert.Equal(r.t, wantState, state, message)
	assert.Equal(r.t, wantEvictable, evictable, message)
	assert.Equal(r.t, wantTracked, tracked, message)
}

func TestIdlePodsWithoutAnAnswer(t *testing.T) {
	r := newNodeRig(t)
	require.NoError(t, r.c.allowEviction(t.Context(), r.s, flux.IDs(1)))
	r.want(v1alpha2.RankIdle, true, true, "its rank is idle")
	require.NoError(t, r.c.protectUnknown(t.Context(), r.s, maxIdleFailures-1))
	r.want(v1alpha2.RankIdle, true, true, "one request failed")
	require.NoError(t, r.c.protectUnknown(t.Context(), r.s, maxIdleFailures))
	r.want("", false, true, "its rank may be busy by now")
}

func TestIdlePodOnANodeThatIsCordoned(t *testing.T) {
	r := newNodeRig(t)
	require.NoError(t, r.c.allowEviction(t.Context(), r.s, flux.IDs(1)))
	node := &drain.Node{Name: "n", NodeState: drain.NodeState{Reason: "cordoned"}}
	pod := drain.NodePod{Name: "a-1", UID: "1", Index: 1, Job: "job"}
	set := func(state string) {
		require.NoError(t, r.c.setRankState(t.Context(), r.s, node, pod, state))
		pod.State = state
	}
	set(v1alpha2.RankDraining)
	r.want(v1alpha2.RankDraining, false, true, "its rank is busy")
	set(v1alpha2.RankDrained)
	r.want(v1alpha2.RankDrained, false, false, "the pod may leave")
	set("")
	r.want("", false, true, "the node takes pods")
}

// The API server refuses to add a finalizer to a pod that is being deleted.
func TestStateOfAPodThatIsBeingDeleted(t *testing.T) {
	r := newNodeRig(t)
	r.kube.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "a-1", nil)
	})
	pod := drain.NodePod{Name: "a-1", UID: "1", Index: 1, Job: "job", State: v1alpha2.RankDrained}
	require.NoError(t, r.c.setRankState(t.Context(), r.s, &drain.Node{Name: "n"}, pod, ""))
	pod.State = ""
	require.Error(t, r.c.setRankState(t.Context(), r.s, &drain.Node{Name: "n"}, pod, v1alpha2.RankDrained))
}

// Very many pods do not hold a worker, and each takes one request.
func TestStatesOfManyPods(t *testing.T) {
	const many = 2*maxPodWrites + 50
	r := newNodeRig(t)
	r.s.mc.Spec.Disruption = nil
	r.c.agents = agents.NewClient(nil, r.c.clock, nil, nil)
	r.kube.PrependReactor("patch", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		assert.Equal(t, "status", action.GetSubresource())
		return true, &corev1.Pod{}, nil
	})
	var pods []drain.NodePod
	for i := range int32(many) {
		pods = append(pods, drain.NodePod{Name: fmt.Sprint("a-", i), UID: types.UID(fmt.Sprint(i)), Index: i, Job: "job"})
	}
	cordoned := drain.NodeState{Reason: "cordoned"}
	r.c.nodes.update("n", cordoned, map[cache.ObjectName][]drain.NodePod{r.s.key: pods})
	written := func() int {
		defer r.kube.ClearActions()
		return len(r.kube.Actions())
	}
	r.kube.ClearActions()
	state := &control.DrainState{Busy: flux.IDRange(0, many-1)}
	for _, want := range []int{maxPodWrites, maxPodWrites, 50, 0} {
		nodes, _ := r.c.nodes.of(r.s.key, "job")
		require.NoError(t, r.c.leaveNodes(t.Context(), r.s, nodes, state))
		assert.Equal(t, want, written())
	}
	r.c.nodes.update("n", drain.NodeState{}, map[cache.ObjectName][]drain.NodePod{r.s.key: r.c.nodes.nodes["n"].pods[r.s.key]})
	for _, want := range []int{maxPodWrites, maxPodWrites, 50, 0} {
		_, returned := r.c.nodes.of(r.s.key, "job")
		reset, err := r.c.resetRankStates(t.Context(), r.s, returned)
		require.NoError(t, err)
		assert.Equal(t, want < maxPodWrites, reset, "ranks are undrained when the states of all pods are reset")
		assert.Equal(t, want, written())
	}
}

// A controller that starts finds the nodes that the status does not name before ranks are undrained.
func TestNodesThatTheStatusDoesNotName(t *testing.T) {
	r := newNodeRig(t)
	recorded := []v1alpha2.NodeDrainStatus{{Node: "named", Indexes: "2"}, {Indexes: "1", Reason: messages.MoreNodes(1)}}
	load := func() bool {
		t.Helper()
		known, err := r.c.loadNodes(t.Context(), r.s, recorded, false)
		require.NoError(t, err)
		return known
	}
	list := func() (names []string) {
		for r.c.nodes.queue.Len() > 0 {
			name, _ := r.c.nodes.queue.Get()
			r.c.nodes.queue.Done(name)
			r.c.listNode(t.Context(), name)
			names = append(names, name)
		}
		return names
	}
	_, err := r.kube.CoreV1().Pods("ns").Patch(t.Context(), "a-1", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"flux-framework.org/rank-state":"drained"}},"spec":{"nodeName":"returned"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	cordoned := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cordoned"}, Spec: corev1.NodeSpec{Unschedulable: true}}
	require.NoError(t, r.c.nodes.store.Add(cordoned))

	assert.False(t, load(), "the nodes that go away have not been listed")
	assert.Equal(t, []string{"named"}, list())
	assert.False(t, load())
	r.c.nodes.changed(cordoned)
	assert.Equal(t, []string{"cordoned"}, list())
	assert.False(t, load(), "the pods of the Job name another node")
	assert.Equal(t, []string{"returned"}, list())
	assert.True(t, load())
	r.kube.ClearActions()
	assert.True(t, load())
	assert.Empty(t, r.kube.Actions(), "the pods are listed once")
}

// A MiniCluster whose ranks this process has drained does not wait until the pods of all nodes are listed that go away
// with its own, only because the status does not name all of them.
func TestNodesThatThisProcessDrains(t *testing.T) {
	r := newNodeRig(t)
	r.c.nodes.update("n", drain.NodeState{Reason: "cordoned"}, map[cache.ObjectName][]drain.NodePod{
		r.s.key: {{Name: "a-1", UID: "1", Index: 1, Job: "job"}},
	})
	known, err := r.c.loadNodes(t.Context(), r.s, nil, true)
	require.NoError(t, err)
	assert.True(t, known)
	other := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: corev1.NodeSpec{Unschedulable: true}}
	require.NoError(t, r.c.nodes.store.Add(other))
	recorded := []v1alpha2.NodeDrainStatus{{Reason: messages.MoreNodes(1)}}
	known, err = r.c.loadNodes(t.Context(), r.s, recorded, true)
	require.NoError(t, err)
	assert.True(t, known)
	r.s.job.UID = "later"
	known, err = r.c.loadNodes(t.Context(), r.s, recorded, true)
	require.NoError(t, err)
	assert.False(t, known, "another Job")
}

// manyIdlePods lets a node that will be deleted have more idle pods than a sync writes. It returns a function that
// evicts some, and returns the time until the next sync.
func (r *nodeRig) manyIdlePods(many int32) func() time.Duration {
	r.s.mc.Spec.Disruption = nil
	r.c.agents = agents.NewClient(nil, r.c.clock, nil, nil)
	r.kube.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, &corev1.Pod{}, nil })
	var pods []drain.NodePod
	for i := range many {
		pods = append(pods, drain.NodePod{Name: fmt.Sprint("a-", i), UID: types.UID(fmt.Sprint(i)), Index: i, Job: "job"})
	}
	r.c.nodes.update("n", drain.NodeState{Reason: "tainted", Deleted: true}, map[cache.ObjectName][]drain.NodePod{r.s.key: pods})
	return func() time.Duration {
		r.s.after = 0
		nodes, _ := r.c.nodes.of(r.s.key, "job")
		require.NoError(r.t, r.c.leaveNodes(r.t.Context(), r.s, nodes, &control.DrainState{Idle: flux.IDRange(0, uint32(many-1))}))
		return r.s.after
	}
}

// requests returns the number of requests with a verb since the last call.
func (r *nodeRig) requests(verb string) (n int) {
	for _, action := range r.kube.Actions() {
		if action.GetVerb() == verb {
			n++
		}
	}
	r.kube.ClearActions()
	return n
}

// Evictions that a budget refuses are repeated with the next regular answer of the agent only, and do not prevent that
// the states of other pods are written.
func TestManyRefusedEvictions(t *testing.T) {
	const many = maxPodWrites + 50
	r := newNodeRig(t)
	r.kube.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewTooManyRequests("a budget", 0)
	})
	leave := r.manyIdlePods(many)
	r.requests("")
	assert.Equal(t, morePodWrites, leave(), "there are more states to write")
	assert.Zero(t, leave(), "evictions were refused")
	assert.Equal(t, many, r.requests("patch"))
	assert.Zero(t, leave())
	assert.Equal(t, maxPodWrites, r.requests("create"))
}

// Pods that do not exist any more are not evicted again.
func TestManyPodsThatHaveLeft(t *testing.T) {
	const many = maxPodWrites + 50
	r := newNodeRig(t)
	r.kube.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(corev1.Resource("pods"), "a")
	})
	leave := r.manyIdlePods(many)
	r.requests("")
	assert.Equal(t, morePodWrites, leave())
	assert.Zero(t, leave())
	assert.Zero(t, leave())
	assert.Equal(t, many, r.requests("create"))
}

// A pod that cannot be written does not prevent that others are.
func TestWriteSome(t *testing.T) {
	var written atomic.Int32
	failed := errors.New("a webhook refuses")
	all, err := writeSome(t.Context(), make([]int, maxPodWrites+1), func(ctx context.Context, _ int) error {
		if written.Add(1) == 1 {
			return failed
		}
		return ctx.Err()
	})
	require.ErrorIs(t, err, failed)
	assert.False(t, all)
	assert.EqualValues(t, maxPodWrites, written.Load())
}
