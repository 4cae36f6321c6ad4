package capacity

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// model is a cluster as the API server has it. It counts from scratch.
type model struct {
	random *rand.Rand
	nodes  map[string]*corev1.Node
	pods   map[string]*corev1.Pod
}

func (s *clusterState) headroomFor(w *workload) *headroom { return newSnapshot(s).headroom(w) }

func (s *clusterState) sumsFor(selector labels.Selector) Sums {
	return *newSnapshot(s).sumsOf(selector)
}

// headrooms returns the headrooms of several workloads in one snapshot.
func (s *clusterState) headrooms(workloads []*workload) []*headroom {
	snap := newSnapshot(s)
	var all []*headroom
	for _, w := range workloads {
		all = append(all, snap.headroom(w))
	}
	return all
}

// step changes the cluster and notifies the state like an informer.
func (m *model) step(s *clusterState) {
	node := fmt.Sprintf("node-%d", m.random.IntN(8))
	name := fmt.Sprintf("pod-%d", m.random.IntN(60))
	switch m.random.IntN(8) {
	case 0:
		delete(m.nodes, node)
		s.deleteNode(node)
	case 1, 2:
		n := testNode(node, "cpu", fmt.Sprint(m.random.IntN(64)), "memory", "8Gi", "pods", "30", "nvidia.com/gpu", fmt.Sprint(m.random.IntN(3)))
		n.Labels["pool"] = fmt.Sprint(m.random.IntN(2))
		n.Spec.Unschedulable = m.random.IntN(5) == 0
		if m.random.IntN(5) == 0 {
			n.Status.Conditions[0].Status = corev1.ConditionFalse
		}
		m.nodes[node] = n
		s.setNode(newNodeRecord(n))
	case 3:
		delete(m.pods, name)
		s.deletePod(types.NamespacedName{Namespace: "ns", Name: name})
	default:
		pod := m.newPod(name, node)
		m.pods[name] = pod
		s.setPod(newPodRecord(pod))
	}
}

func (m *model) newPod(name, node string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			container("a", "cpu", fmt.Sprintf("%dm", m.random.IntN(4000)), "memory", fmt.Sprint(m.random.IntN(1<<30))),
		}},
	}
	if m.random.IntN(4) > 0 {
		pod.Spec.NodeName = node
	}
	if m.random.IntN(3) == 0 {
		pod.Spec.Containers = append(pod.Spec.Containers, container("b", "nvidia.com/gpu", "1"))
	}
	switch m.random.IntN(6) {
	case 0:
		pod.Status.Phase = corev1.PodSucceeded
	case 1:
		ofJob("n")(pod)
	case 2, 3:
		mine(pod)
	}
	return pod
}

// state returns a state that has only seen the current cluster.
func (m *model) state() *clusterState {
	s := newClusterState()
	for _, node := range m.nodes {
		s.setNode(newNodeRecord(node))
	}
	for _, pod := range m.pods {
		s.setPod(newPodRecord(pod))
	}
	return s
}

// sums computes the sums without a state.
func (m *model) sums(selector labels.Selector) Sums {
	var sums Sums
	for _, node := range m.nodes {
		if node.Spec.Unschedulable || node.Status.Conditions[0].Status != corev1.ConditionTrue || !selector.Matches(labels.Set(node.Labels)) {
			continue
		}
		sums.Nodes++
		allocatable := fromList(node.Status.Allocatable)
		sums.Capacity.Add(&allocatable)
		sums.Allocatable.Add(&allocatable)
		for _, pod := range m.pods {
			if pod.Spec.NodeName == node.Name && pod.Status.Phase != corev1.PodSucceeded {
				requests := podRequests(pod)
				sums.Requests.Add(&requests)
			}
		}
	}
	return sums
}

// After any events in any order, the numbers equal those of a recount.
func TestRandomEvents(t *testing.T) {
	for seed := range uint64(50) {
		m := &model{random: rand.New(rand.NewPCG(seed, 7)), nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}}
		s := newClusterState()
		for i := range 400 {
			m.step(s)
			if i%20 != 0 {
				continue
			}
			for _, selector := range []labels.Selector{labels.Everything(), labels.SelectorFromSet(labels.Set{"pool": "1"})} {
				if !assert.Equal(t, normal(m.sums(selector)), normal(s.sumsFor(selector)), "seed %d, event %d", seed, i) {
					return
				}
			}
			app := testWorkload(t, "1500m", "10%,memory=1Gi")
			if !assert.Equal(t, m.state().headroomFor(app), s.headroomFor(app), "seed %d, event %d", seed, i) {
				return
			}
			small := testWorkload(t, "100m", "")
			small.Priority = 1
			if !assert.Equal(t, []*headroom{s.headroomFor(app), s.headroomFor(small), s.headroomFor(app)}, s.headrooms([]*workload{app, small, app}), "computing a headroom does not affect the next one") {
				return
			}
		}
		for name := range m.pods {
			s.deletePod(types.NamespacedName{Namespace: "ns", Name: name})
		}
		for name := range m.nodes {
			s.deleteNode(name)
		}
		assert.Equal(t, newClusterState(), s, "deleted objects are not kept")
	}
}

// normal makes empty sums equal, however they were computed, and removes the names.
func normal(s Sums) Sums {
	s.Names = nil
	for _, r := range []*Resources{&s.Capacity, &s.Allocatable, &s.Requests} {
		if len(r.Other) == 0 {
			r.Other = nil
		}
	}
	return s
}

// bigState is a cluster of 100 nodes and 5000 pods.
func bigState() *clusterState {
	s := newClusterState()
	for i := range 100 {
		s.setNode(newNodeRecord(testNode(fmt.Sprintf("node-%d", i), "cpu", "64", "memory", "256Gi", "pods", "110", "nvidia.com/gpu", "8")))
	}
	for i := range 5000 {
		addPods(s, 1, fmt.Sprintf("node-%d", i%100), "500m")
	}
	return s
}

// BenchmarkUpdate measures one event of a pod, from the pod to the new totals.
func BenchmarkUpdate(b *testing.B) {
	s := bigState()
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod-77"},
		Spec: corev1.PodSpec{NodeName: "node-5", Containers: []corev1.Container{
			container("a", "cpu", "1", "memory", "1Gi"), container("b", "cpu", "1", "nvidia.com/gpu", "1"),
		}},
	}
	for b.Loop() {
		s.setPod(newPodRecord(&pod))
	}
}

// BenchmarkSums measures one query of the sums of the cluster.
func BenchmarkSums(b *testing.B) {
	s := bigState()
	for b.Loop() {
		s.sumsFor(labels.Everything())
	}
}

// BenchmarkFor measures one query of a headroom while 50 pods are pending.
func BenchmarkFor(b *testing.B) {
	s := bigState()
	addPods(s, 50, "", "40")
	pod := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu", "4")}}}
	app := &workload{Requests: podRequests(&pod), Placement: newPlacement(&pod.Spec)}
	for b.Loop() {
		s.headroomFor(app)
	}
}
