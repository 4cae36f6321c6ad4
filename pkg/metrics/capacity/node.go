package capacity

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulingcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
)

// nodeRecord contains the fields of a node that this package needs. It replaces the node in the cache of an informer.
type nodeRecord struct {
	// ObjectMeta has only the name, the labels, the UID and the resource version.
	metav1.ObjectMeta
	// Ready is the status of the condition Ready.
	Ready bool
	// Unschedulable is set on a cordoned node.
	Unschedulable bool
	// Taints that prevent scheduling.
	Taints []corev1.Taint
	// Capacity and Allocatable of the node.
	Capacity, Allocatable Resources
}

func newNodeRecord(node *corev1.Node) *nodeRecord {
	n := &nodeRecord{
		ObjectMeta:    identity(&node.ObjectMeta),
		Unschedulable: node.Spec.Unschedulable,
		Capacity:      fromList(node.Status.Capacity),
		Allocatable:   fromList(node.Status.Allocatable),
	}
	n.Labels = node.Labels
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			n.Ready = condition.Status == corev1.ConditionTrue
		}
	}
	for _, taint := range node.Spec.Taints {
		if preventsScheduling(&taint) {
			n.Taints = append(n.Taints, taint)
		}
	}
	return n
}

// preventsScheduling reports whether a taint keeps the scheduler from placing pods.
func preventsScheduling(taint *corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
}

// schedulable reports whether the node counts. A cordoned or unready node provides no capacity.
func (n *nodeRecord) schedulable() bool { return n.Ready && !n.Unschedulable }

// allows reports whether pods may run on a node, regardless of free resources. As in the scheduler, an invalid node
// affinity allows no node.
func (p *placement) allows(n *nodeRecord) bool {
	if !n.schedulable() {
		return false
	}
	if len(n.Taints) == 0 && !p.constrained {
		return true
	}
	// It logs only about operators of tolerations that are not enabled.
	if _, untolerated := schedulingcorev1.FindMatchingUntoleratedTaint(klog.Logger{}, n.Taints, p.tolerations, nil, false); untolerated {
		return false
	}
	ok, err := p.affinity.Match(&corev1.Node{ObjectMeta: n.ObjectMeta})
	return err == nil && ok
}
