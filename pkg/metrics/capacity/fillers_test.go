package capacity

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// rank makes a pod one of the Job of a MiniCluster.
func rank(job string, index int) podOption {
	return func(p *corev1.Pod) {
		ofJob(job)(p)
		p.Name = fmt.Sprintf("%s-%d", job, index)
		p.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: fmt.Sprint(index)}
	}
}

// unschedulable makes it a pod that the scheduler has rejected.
func unschedulable(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
}

// fillerRig is a source whose state the test sets.
type fillerRig struct {
	*rig
	t *testing.T
}

func newFillerRig(t *testing.T, cpus ...string) fillerRig {
	t.Helper()
	r := fillerRig{newRig(t, Options{}), t}
	r.source.watcher.synced = nil
	addNodes(r.source.watcher.state, cpus...)
	return r
}

// addFiller adds an opportunistic MiniCluster with pods of one core, whose ranks run on some nodes.
func (r fillerRig) addFiller(name string, size int32, nodes ...string) *v1alpha2.MiniCluster {
	r.t.Helper()
	mc := &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}}
	mc.Spec.Size, mc.Spec.MinSize, mc.Spec.Opportunistic = &size, 1, &v1alpha2.Opportunistic{Weight: 1}
	mc.Status.MaximumSize = 1000
	require.NoError(r.t, r.miniClusters.Add(mc))
	pod := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("c", "cpu", "1")}}}
	w := workload{Job: types.NamespacedName{Namespace: "ns", Name: name}, Requests: podRequests(&pod), Placement: newPlacement(&pod.Spec)}
	require.NoError(r.t, r.source.watcher.jobs.Add(&jobRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, owner: mc.UID, workload: w}))
	for i, node := range nodes {
		addPods(r.source.watcher.state, 1, node, "1", rank(name, i))
	}
	return mc
}

func (r fillerRig) fitting(name string) string {
	r.t.Helper()
	return r.value(r.t, "miniclusters", name, MetricSizeFitting)
}

func times(n int, names ...string) []string {
	var all []string
	for range n {
		all = append(all, names...)
	}
	return all
}

func TestFillersShare(t *testing.T) {
	r := newFillerRig(t, "8", "8")
	first := r.addFiller("first", 16, times(8, "node-0", "node-1")...)
	assert.Equal(t, "16", r.fitting("first"))
	r.addFiller("second", 1)
	assert.Equal(t, "8", r.fitting("first"))
	assert.Equal(t, "8", r.fitting("second"))
	first.Spec.Opportunistic.Weight = 3
	assert.Equal(t, "12", r.fitting("first"))
	first.Spec.Opportunistic.Reserve = opportunistic("25%").Reserve
	assert.Equal(t, "9", r.fitting("first"))
}

// TestOrdinaryBesideFiller: pods of a filler do not count for a MiniCluster that is not opportunistic, and its pending
// pods make the filler shrink.
func TestOrdinaryBesideFiller(t *testing.T) {
	r := newFillerRig(t, "8", "8")
	r.addFiller("filler", 16, times(8, "node-0", "node-1")...)
	ordinary := r.addFiller("ordinary", 4)
	ordinary.Spec.Opportunistic = nil
	assert.Equal(t, "15", r.fitting("ordinary"), "all but the first rank of the filler")
	assert.Equal(t, "16", r.fitting("filler"))
	addPods(r.source.watcher.state, 4, "", "1", ofJob("ordinary"), unschedulable)
	assert.Equal(t, "12", r.fitting("filler"))
}

// TestCordonedNode: ranks on a cordoned node count as they are.
func TestCordonedNode(t *testing.T) {
	r := newFillerRig(t, "8", "8")
	r.addFiller("filler", 8, times(4, "node-0", "node-1")...)
	r.addFiller("other", 8, times(4, "node-0", "node-1")...)
	require.Equal(t, "8", r.fitting("filler"))
	node := testNode("node-1", "cpu", "8", "memory", "64Gi", "pods", "110")
	node.Spec.Unschedulable = true
	r.source.watcher.state.setNode(newNodeRecord(node))
	assert.Equal(t, "8", r.fitting("filler"))
	assert.Equal(t, "8", r.fitting("other"))
}

// TestUnboundPodHoldsNoRoom: a pod for which there is room, and which the scheduler does not place for a minute, does
// not count for ten minutes.
func TestUnboundPodHoldsNoRoom(t *testing.T) {
	r := newFillerRig(t, "8", "8")
	r.addFiller("filler", 10, times(5, "node-0", "node-1")...)
	addPods(r.source.watcher.state, 1, "", "2", unschedulable)
	require.Equal(t, "10", r.fitting("filler"), "no growth while the pod waits")
	back := func(d time.Duration) {
		r.source.mu.Lock()
		defer r.source.mu.Unlock()
		for id, since := range r.source.history.fitSince {
			r.source.history.fitSince[id] = since.Add(-d)
		}
	}
	back(unboundAfter)
	assert.Equal(t, "16", r.fitting("filler"))
	assert.Equal(t, "16", r.fitting("filler"), "and again")
	back(retryAfter)
	r.fitting("filler")
	assert.Equal(t, "10", r.fitting("filler"), "another try")
}

func TestAllocationMetrics(t *testing.T) {
	r := newFillerRig(t, "8", "8")
	r.addFiller("filler", 16, times(8, "node-0", "node-1")...)
	addPods(r.source.watcher.state, 3, "", "4", unschedulable)
	addPods(r.source.watcher.state, 1, "", "9", unschedulable)
	require.NotEmpty(t, r.gather(t))
	r.source.history.at = r.source.history.at.Add(-10 * time.Second)
	families := r.gather(t)
	pending := map[string]float64{}
	for _, m := range families["minicluster_paying_pods_pending"] {
		pending[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
	}
	assert.Equal(t, map[string]float64{"now": 0, "after_shrink": 3, "none": 1}, pending)
	assert.InDelta(t, 150, families["minicluster_opportunistic_core_seconds_total"][0].GetCounter().GetValue(), 5)
	assert.InDelta(t, 30, families["minicluster_paying_pods_waiting_seconds_total"][0].GetCounter().GetValue(), 1)
}

// TestInvalidIndex checks that an annotation that a user has changed does not change the shares of others.
func TestInvalidIndex(t *testing.T) {
	for _, index := range []int{0, -1, -7, 1 << 40} {
		r := newFillerRig(t, "8")
		r.addFiller("filler", 2)
		r.addFiller("other", 4, times(4, "node-0")...)
		addPods(r.source.watcher.state, 1, "node-0", "1", rank("filler", index))
		assert.Equal(t, "4", r.fitting("other"), "%d", index)
		assert.Equal(t, "4", r.fitting("filler"), "%d", index)
	}
}

// TestHarvestCounts checks that the counter of a filler continues while a node with its ranks is cordoned and while its
// Job does not exist, and ends with the MiniCluster.
func TestHarvestCounts(t *testing.T) {
	r := newFillerRig(t, "8", "8")
	mc := r.addFiller("filler", 16, times(8, "node-0", "node-1")...)
	counted := func() (float64, bool) {
		r.source.mu.Lock()
		r.source.history.at = r.source.history.at.Add(-10 * time.Second)
		r.source.mu.Unlock()
		for _, m := range r.gather(t)["minicluster_opportunistic_core_seconds_total"] {
			return m.GetCounter().GetValue(), true
		}
		return 0, false
	}
	require.NotEmpty(t, r.gather(t))
	before, _ := counted()
	assert.InDelta(t, 150, before, 5)
	node := testNode("node-1", "cpu", "8", "memory", "64Gi", "pods", "110")
	node.Spec.Unschedulable = true
	r.source.watcher.state.setNode(newNodeRecord(node))
	after, _ := counted()
	assert.InDelta(t, before+150, after, 5, "pods on a cordoned node use it")

	job, _, err := r.source.watcher.jobs.GetByKey("ns/filler")
	require.NoError(t, err)
	require.NoError(t, r.source.watcher.jobs.Delete(job))
	unknown, known := counted()
	assert.True(t, known)
	assert.InDelta(t, after, unknown, 1e-6, "its pods are unknown")
	require.NoError(t, r.source.watcher.jobs.Add(job))
	again, _ := counted()
	assert.InDelta(t, after+150, again, 5)

	require.NoError(t, r.miniClusters.Delete(mc))
	_, known = counted()
	assert.False(t, known)
}

// TestReplicasAgree checks that sources that received the same objects in another order compute the same.
func TestReplicasAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	for range 20 {
		var pods []*podRecord
		for name, index := range map[string]int{"first": 9, "second": 7, "third": 0} {
			for i := range index {
				node := fmt.Sprintf("node-%d", random.IntN(3))
				pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{container("c", "cpu", "1")}}}
				rank(name, i)(pod)
				pods = append(pods, newPodRecord(pod))
			}
		}
		for i := range 12 {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("c", "cpu", fmt.Sprint(1+random.IntN(6)))}}}
			pod.Namespace, pod.Name, pod.UID = "ns", fmt.Sprint("pending-", i), types.UID(fmt.Sprint(i))
			pod.Spec.Priority = new(int32(random.IntN(2))) //nolint:gosec // small
			unschedulable(pod)
			pods = append(pods, newPodRecord(pod))
		}
		var results []map[types.NamespacedName]int64
		for range 3 {
			random.Shuffle(len(pods), func(i, k int) { pods[i], pods[k] = pods[k], pods[i] })
			r := newFillerRig(t, "16", "12", "8")
			for i, name := range []string{"first", "second", "third"} {
				mc := r.addFiller(name, 9)
				mc.Spec.Opportunistic.Weight = int32(1 + i) //nolint:gosec // small
			}
			for _, p := range pods {
				r.source.watcher.state.setPod(p)
			}
			s := r.source.current()
			sizes := maps.Clone(s.allocated.sizes)
			for room, n := range s.allocated.pending {
				sizes[types.NamespacedName{Name: string(room)}] = n
			}
			results = append(results, sizes)
		}
		require.Equal(t, results[0], results[1])
		require.Equal(t, results[0], results[2])
	}
}

// TestOverview checks who uses which node, and which pods fit nowhere.
func TestOverview(t *testing.T) {
	r := newFillerRig(t, "8", "8")
	r.addFiller("filler", 5, "node-0", "node-0", "node-0", "node-1", "node-1")
	addPods(r.source.watcher.state, 2, "node-1", "3")
	addPods(r.source.watcher.state, 1, "", "4", unschedulable)
	addPods(r.source.watcher.state, 2, "", "9", unschedulable)
	o := r.source.Overview()
	require.Len(t, o.Nodes, 2)
	users := func(n NodeUsage) (users []string) {
		for _, s := range n.MiniClusters {
			users = append(users, fmt.Sprintf("%s %d of %d", s.Name, s.Requests.CPU, n.Requests.CPU))
		}
		return users
	}
	assert.Equal(t, []string{"filler 3000 of 3000"}, users(o.Nodes[0]))
	assert.Equal(t, []string{"filler 2000 of 8000"}, users(o.Nodes[1]))
	require.Len(t, o.Nowhere, 1)
	assert.Equal(t, 2, o.Nowhere[0].Count)
	assert.EqualValues(t, 9000, o.Nowhere[0].Requests.CPU)
	sums := r.source.Cluster(labels.Everything())
	assert.Equal(t, sums.Requests.CPU, o.Nodes[0].Requests.CPU+o.Nodes[1].Requests.CPU)
}
