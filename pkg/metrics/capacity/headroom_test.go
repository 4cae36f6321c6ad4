package capacity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// podOption changes a pod of a test.
type podOption func(*corev1.Pod)

// mine makes a pod one of the Job "m".
func mine(p *corev1.Pod) { ofJob("m")(p) }

func ofJob(name string) podOption {
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: name, Controller: new(true)}}
		p.Labels = map[string]string{v1alpha2.LabelHPASelector: name}
	}
}

func priority(n int32) podOption { return func(p *corev1.Pod) { p.Spec.Priority = &n } }

// addPods adds pods to a node, or pending ones.
func addPods(s *clusterState, n int, node, cpu string, options ...podOption) {
	for range n {
		pod := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("pod-%d", len(s.pods))},
			Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{container("c", "cpu", cpu)}},
		}
		for _, option := range options {
			option(&pod)
		}
		s.setPod(newPodRecord(&pod))
	}
}

// opportunistic returns the field of a MiniCluster with a reserve, such as 30 cores or memory=10%.
func opportunistic(left string) *v1alpha2.Opportunistic {
	o := &v1alpha2.Opportunistic{Weight: 1, Reserve: map[corev1.ResourceName]intstr.IntOrString{}}
	for part := range strings.SplitSeq(left, ",") {
		name, share, named := strings.Cut(part, "=")
		if !named {
			name, share = "cpu", part
		}
		o.Reserve[corev1.ResourceName(name)] = intstr.Parse(share)
	}
	return o
}

// addNodes adds nodes node-0, node-1...
func addNodes(s *clusterState, cpus ...string) {
	for i, cpu := range cpus {
		s.setNode(newNodeRecord(testNode(fmt.Sprintf("node-%d", i), "cpu", cpu, "memory", "64Gi", "pods", "110")))
	}
}

// application with pods of a number of cores, whose Job is "m".
func testWorkload(t *testing.T, cpu, left string, options ...podOption) *workload {
	t.Helper()
	r, err := reserve.Parse(left)
	require.NoError(t, err)
	pod := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("c", "cpu", cpu)}}}
	for _, option := range options {
		option(&pod)
	}
	return &workload{
		Job: types.NamespacedName{Namespace: "ns", Name: "m"}, Reserve: r,
		Requests: podRequests(&pod), Placement: newPlacement(&pod.Spec),
	}
}

func TestHeadroom(t *testing.T) {
	onNode := func(name string) podOption {
		return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: name} }
	}
	gated := func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }
	nominated := func(name string) podOption { return func(p *corev1.Pod) { p.Status.NominatedNodeName = name } }
	for name, test := range map[string]struct {
		nodes     []string
		pods      func(*clusterState)
		cpu       string
		reserve   string
		options   []podOption
		remaining int64
		fitting   int64
	}{
		"an empty cluster":           {nodes: []string{"32", "24"}, cpu: "4", remaining: 56_000, fitting: 14},
		"no cluster":                 {cpu: "4"},
		"whole pods on each node":    {nodes: []string{"7", "7", "7"}, cpu: "4", remaining: 21_000, fitting: 3},
		"a pod larger than any node": {nodes: []string{"7", "7"}, cpu: "8", remaining: 14_000, fitting: 0},
		"requests of other pods": {
			nodes: []string{"8", "8"}, cpu: "2", remaining: 11_000, fitting: 5,
			pods: func(s *clusterState) { addPods(s, 5, "node-0", "1") },
		},
		"its own pods": {
			nodes: []string{"8", "8"}, cpu: "2", remaining: 11_000, fitting: 5,
			pods: func(s *clusterState) { addPods(s, 5, "node-0", "1"); addPods(s, 4, "node-1", "2", mine) },
		},
		"pods of another MiniCluster": {
			nodes: []string{"8", "8"}, cpu: "2", remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 4, "node-1", "2", ofJob("n")) },
		},
		"an overcommitted node does not reduce the capacity of other nodes": {
			nodes: []string{"8", "8"}, cpu: "2", remaining: 4_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 12, "node-0", "1") },
		},
		"a reserve in cores":   {nodes: []string{"8", "8"}, cpu: "2", reserve: "5", remaining: 11_000, fitting: 5},
		"a reserve in percent": {nodes: []string{"8", "8"}, cpu: "2", reserve: "15%", remaining: 13_600, fitting: 6},
		"fragments are a part of the reserve": {
			nodes: []string{"7", "7", "7"}, cpu: "4", reserve: "9", remaining: 12_000, fitting: 3,
		},
		"a reserve that other pods use": {
			nodes: []string{"8"}, cpu: "2", reserve: "4", remaining: -2_000, fitting: 0,
			pods: func(s *clusterState) { addPods(s, 6, "node-0", "1") },
		},
		"a reserve of a resource that it does not use": {
			nodes: []string{"8"}, cpu: "2", reserve: "memory=100%", remaining: 8_000, fitting: 4,
		},
		"pods that request more than the template": {
			nodes: []string{"8", "8"}, cpu: "2", remaining: 16_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 1, "node-1", "3", mine) },
		},
		"pods without requests, up to the limit of pods": {nodes: []string{"8"}, cpu: "0", remaining: 8_000, fitting: 110},
		"only nodes that it may use": {
			nodes: []string{"8", "6"}, cpu: "2", options: []podOption{onNode("node-1")}, remaining: 6_000, fitting: 3,
			reserve: "0%",
		},
		"a pending pod comes first": {
			nodes: []string{"8", "8"}, cpu: "2", remaining: 10_000, fitting: 5,
			pods: func(s *clusterState) { addPods(s, 8, "node-0", "1", mine); addPods(s, 2, "", "3") },
		},
		"a pending pod uses free capacity before it displaces pods": {
			nodes: []string{"8", "8"}, cpu: "2", options: []podOption{onNode("node-0")}, remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 4, "node-0", "2", mine); addPods(s, 2, "", "4") },
		},
		"a pending pod on nodes that the application cannot use": {
			nodes: []string{"8", "8"}, cpu: "2", options: []podOption{onNode("node-0")}, remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 2, "", "4", onNode("node-1")) },
		},
		"a pending pod that fits nowhere displaces no pods": {
			nodes: []string{"8", "8"}, cpu: "2", remaining: 16_000, fitting: 8,
			pods: func(s *clusterState) { addPods(s, 1, "", "9"); addPods(s, 1, "", "1", onNode("node-9")) },
		},
		"no more pending pods than fit without the application": {
			nodes: []string{"8"}, cpu: "2", remaining: 2_000, fitting: 1,
			pods: func(s *clusterState) { addPods(s, 4, "node-0", "2", mine); addPods(s, 9, "", "3") },
		},
		"a pending pod with a scheduling gate": {
			nodes: []string{"8"}, cpu: "2", remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 1, "", "4", gated) },
		},
		"a pending pod that is being deleted": {
			nodes: []string{"8"}, cpu: "2", remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) {
				addPods(s, 1, "", "4", func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = new(metav1.Now()), []string{"example.com/x"} })
			},
		},
		"a pending pod with a nominated node": {
			nodes: []string{"8", "8"}, cpu: "2", options: []podOption{onNode("node-1")}, remaining: 4_000, fitting: 2,
			pods: func(s *clusterState) { addPods(s, 1, "", "4", nominated("node-1")) },
		},
		"a pending pod with a lower priority": {
			nodes: []string{"8"}, cpu: "2", remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 1, "", "4", priority(-1)) },
		},
		"MiniClusters of the same priority do not displace each other": {
			nodes: []string{"8"}, cpu: "2", remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 4, "node-0", "2", mine); addPods(s, 9, "", "2", ofJob("n")) },
		},
		"a MiniCluster of a higher priority": {
			nodes: []string{"8"}, cpu: "2", remaining: 4_000, fitting: 2,
			pods: func(s *clusterState) {
				addPods(s, 4, "node-0", "2", mine, priority(-10))
				addPods(s, 2, "", "2", ofJob("n"))
			},
		},
		"its own pending pods": {
			nodes: []string{"8"}, cpu: "2", remaining: 8_000, fitting: 4,
			pods: func(s *clusterState) { addPods(s, 4, "node-0", "2", mine); addPods(s, 3, "", "2", mine) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newClusterState()
			addNodes(s, test.nodes...)
			if test.pods != nil {
				test.pods(s)
			}
			v := s.headroomFor(testWorkload(t, test.cpu, test.reserve, test.options...))
			assert.Equal(t, test.remaining, v.Remaining.CPU, "remaining")
			assert.Equal(t, test.fitting, v.Fitting, "fitting")
			assert.Equal(t, v.Allocatable.CPU, v.Requests.CPU+v.Reserved.CPU+v.Remaining.CPU, "the sums are consistent")
		})
	}
}

// The numbers of the tutorial: 184 cores, of which 30 stay free.
func TestHeadroomOfTheTutorial(t *testing.T) {
	s := newClusterState()
	addNodes(s, "32", "32", "32", "32", "32", "24")
	addPods(s, 10, "node-0", "3")
	v := s.headroomFor(testWorkload(t, "1", "30"))
	assert.Equal(t, int64(184_000-30_000-30_000), v.Remaining.CPU)
	assert.Equal(t, int64(124), v.Fitting)
	assert.Equal(t, 6, v.Nodes)
}

func TestSums(t *testing.T) {
	s := newClusterState()
	addNodes(s, "8", "8", "8", "8")
	addPods(s, 2, "node-0", "3")
	addPods(s, 1, "node-1", "10")
	addPods(s, 1, "node-2", "1")
	addPods(s, 1, "node-9", "1") // an unknown node
	addPods(s, 1, "", "1")
	cordoned := testNode("node-2", "cpu", "8")
	cordoned.Spec.Unschedulable = true
	s.setNode(newNodeRecord(cordoned))

	all := s.sumsFor(labels.Everything())
	assert.Equal(t, 3, all.Nodes)
	assert.Equal(t, int64(24_000), all.Allocatable.CPU)
	assert.Equal(t, int64(16_000), all.Requests.CPU)
	assert.Equal(t, int64(3), all.Requests.Pods)
	remaining := all.remaining()
	assert.Equal(t, int64(8_000), remaining.CPU)
	assert.Equal(t, int64(3*64<<30), remaining.Memory)

	one := s.sumsFor(labels.SelectorFromSet(labels.Set{corev1.LabelHostname: "node-1"}))
	assert.Equal(t, 1, one.Nodes)
	remaining = one.remaining()
	assert.Equal(t, int64(-2_000), remaining.CPU, "overcommitted")

	s.deleteNode("node-1")
	s.deleteNode("node-1")
	assert.Equal(t, 2, s.sumsFor(labels.Everything()).Nodes)
}
