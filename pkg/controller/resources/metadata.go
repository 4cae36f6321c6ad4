package resources

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
)

// objectMeta returns the metadata of an object that belongs to one MiniCluster and is deleted with it.
func objectMeta(mc *v1alpha2.MiniCluster, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:            name,
		Namespace:       mc.Namespace,
		Labels:          labelsOf(mc.Name),
		OwnerReferences: []metav1.OwnerReference{*ControllerReference(mc)},
	}
}

// labelsOf returns the labels of an object of a MiniCluster with a name; without the name
// of one where it is empty.
func labelsOf(name string) map[string]string {
	labels := map[string]string{v1alpha2.LabelController: v1alpha2.ManagedBy, v1alpha2.LabelManagedBy: v1alpha2.ManagedBy}
	if name != "" {
		labels[v1alpha2.LabelName] = name
	}
	return labels
}

// HasManagedLabel reports whether an object has the label of this controller, which the caches select by.
func HasManagedLabel(o metav1.Object) bool {
	return o.GetLabels()[v1alpha2.LabelController] == v1alpha2.ManagedBy
}

// IsOrphan reports whether an object has the labels of a MiniCluster and no owner at all. It may be adopted.
func IsOrphan(mc *v1alpha2.MiniCluster, o metav1.Object) bool {
	name := o.GetLabels()[v1alpha2.LabelName]
	return HasManagedLabel(o) && len(o.GetOwnerReferences()) == 0 && o.GetDeletionTimestamp() == nil &&
		(name == mc.Name || name == ServicesPodName(mc) && o.GetName() == name)
}

// RelabelPatch returns a patch of the metadata of an object that has lost the label of this controller.
func RelabelPatch(o metav1.Object) map[string]any {
	return map[string]any{"uid": o.GetUID(), "labels": map[string]string{v1alpha2.LabelController: v1alpha2.ManagedBy}}
}

// ControllerReference returns an owner reference that makes a MiniCluster the controller of an object.
func ControllerReference(mc *v1alpha2.MiniCluster) *metav1.OwnerReference {
	return metav1.NewControllerRef(mc, v1alpha2.MiniClusterKind)
}

// SharedOwnerReference returns the reference to one of several owners: none of them is the controller, and the object
// is deleted with its last owner.
func SharedOwnerReference(mc *v1alpha2.MiniCluster) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha2.SchemeGroupVersion.String(),
		Kind:       v1alpha2.MiniClusterKind.Kind,
		Name:       mc.Name,
		UID:        mc.UID,
	}
}

// podLabels returns the labels of a MiniCluster's pods. Those of the controller override the user's, since selectors
// depend on them.
func podLabels(mc *v1alpha2.MiniCluster, f Fixed) map[string]string {
	labels := map[string]string{}
	if mc.Spec.Pod != nil {
		maps.Copy(labels, mc.Spec.Pod.Labels)
	}
	labels[v1alpha2.LabelName] = mc.Name
	labels[v1alpha2.LabelHPASelector] = mc.Name
	labels[v1alpha2.LabelHeadlessService] = f.Headless
	labels["namespace"] = mc.Namespace
	return labels
}

// DescribeController describes the controller of an object whose name a MiniCluster needs.
func DescribeController(o metav1.Object) string {
	if ref := metav1.GetControllerOf(o); ref != nil {
		return messages.ControlledBy(ref.Kind, ref.Name, string(ref.UID))
	}
	return messages.NoController
}
