package capacity

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testNode returns a node that is ready, with resources from pairs of name and quantity.
func testNode(name string, allocatable ...string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{
			Capacity: list(allocatable...), Allocatable: list(allocatable...),
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

func TestPlacementAllows(t *testing.T) {
	required := func(terms ...corev1.NodeSelectorTerm) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
		}}
	}
	expression := func(key string, op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}
	}
	for name, test := range map[string]struct {
		node func(*corev1.Node)
		pod  corev1.PodSpec
		want bool
	}{
		"any pod on any node": {want: true},
		"cordoned":            {node: func(n *corev1.Node) { n.Spec.Unschedulable = true }},
		"not ready":           {node: func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }},
		"unknown":             {node: func(n *corev1.Node) { n.Status.Conditions = nil }},
		"tainted": {node: func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
		}},
		"tainted softly": {want: true, node: func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectPreferNoSchedule}}
		}},
		"tainted, and one of two tolerated": {
			node: func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}, {Key: "x", Effect: corev1.TaintEffectNoExecute}}
			},
			pod: corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}},
		},
		"tainted and tolerated": {
			want: true,
			node: func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "gpu", Value: "a", Effect: corev1.TaintEffectNoSchedule}}
			},
			pod: corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "gpu", Value: "a"}}},
		},
		"selected":                 {want: true, pod: corev1.PodSpec{NodeSelector: map[string]string{corev1.LabelHostname: "n"}}},
		"not selected":             {pod: corev1.PodSpec{NodeSelector: map[string]string{"pool": "batch"}}},
		"one of the required ones": {want: true, pod: corev1.PodSpec{Affinity: required(expression(corev1.LabelHostname, corev1.NodeSelectorOpIn, "m", "n"))}},
		"any of two terms": {want: true, pod: corev1.PodSpec{Affinity: required(
			expression("pool", corev1.NodeSelectorOpExists), expression("pool", corev1.NodeSelectorOpDoesNotExist),
		)}},
		"none of the required ones": {pod: corev1.PodSpec{Affinity: required(expression(corev1.LabelHostname, corev1.NodeSelectorOpNotIn, "m", "n"))}},
		"an invalid affinity": {pod: corev1.PodSpec{Affinity: required(
			expression(corev1.LabelHostname, "Resembles", "n"),
		)}},
		"by name": {want: true, pod: corev1.PodSpec{Affinity: required(corev1.NodeSelectorTerm{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n"}}},
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			node := testNode("n", "cpu", "1")
			if test.node != nil {
				test.node(node)
			}
			assert.Equal(t, test.want, newPlacement(&test.pod).allows(newNodeRecord(node)))
		})
	}
}

func TestNewNode(t *testing.T) {
	node := testNode("n", "cpu", "23900m", "memory", "1Mi", "pods", "110", "nvidia.com/gpu", "2")
	node.Status.Capacity = list("cpu", "24")
	node.UID, node.ResourceVersion = "u", "9"
	node.Annotations = map[string]string{"much": "text"}
	assert.Equal(t, &nodeRecord{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", ResourceVersion: "9", Labels: map[string]string{corev1.LabelHostname: "n"}},
		Ready:      true,
		Capacity:   Resources{CPU: 24000},
		Allocatable: Resources{
			CPU: 23900, Memory: 1 << 20, Pods: 110, Other: map[corev1.ResourceName]int64{"nvidia.com/gpu": 2},
		},
	}, newNodeRecord(node))
}
