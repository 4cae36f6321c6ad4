package capacity

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulingcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
)

// Node is what has to be known of a node. It stands in for the node in an informer's
// cache.
type Node struct {
	// ObjectMeta has the name, the labels, the UID and the resource version, and nothing
	// else.
	metav1.ObjectMeta
	// Ready tells that the kubelet says so.
	Ready bool
	// Unschedulable tells that it is cordoned.
	Unschedulable bool
	// Taints that keep pods away.
	Taints []corev1.Taint
	// Capacity is what the node has; Allocatable is what of it pods may request.
	Capacity, Allocatable Resources
}

// NewNode makes the record of a node.
func NewNode(node *corev1.Node) *Node {
	n := &Node{
		ObjectMeta:    identity(&node.ObjectMeta),
		Unschedulable: node.Spec.Unschedulable,
		Capacity:      FromList(node.Status.Capacity),
		Allocatable:   FromList(node.Status.Allocatable),
	}
	n.Labels = node.Labels
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			n.Ready = condition.Status == corev1.ConditionTrue
		}
	}
	for _, taint := range node.Spec.Taints {
		if repels(&taint) {
			n.Taints = append(n.Taints, taint)
		}
	}
	return n
}

// repels tells whether a taint keeps the scheduler from placing pods.
func repels(taint *corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
}

// usable tells whether the node counts: one that is cordoned or not ready offers
// nothing, whatever its numbers say.
func (n *Node) usable() bool { return n.Ready && !n.Unschedulable }

// Admits tells whether pods of a placement may go to the node, room aside. A node affinity
// that is not valid admits nothing, as in the scheduler.
func (p *Placement) Admits(n *Node) bool {
	if !n.usable() {
		return false
	}
	if len(n.Taints) == 0 && !p.choosy {
		return true
	}
	// What would be logged is about operators of tolerations that are not in use.
	if _, repelled := schedulingcorev1.FindMatchingUntoleratedTaint(klog.Logger{}, n.Taints, p.tolerations, nil, false); repelled {
		return false
	}
	ok, err := p.affinity.Match(&corev1.Node{ObjectMeta: n.ObjectMeta})
	return err == nil && ok
}
