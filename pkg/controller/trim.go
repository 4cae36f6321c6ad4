package controller

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// trim drops from an object what the controller does not read, before a cache keeps it. A step that reads more of a
// cached object has to keep it here. The label of this controller is not a proof: every user can set it on large
// objects, of which only the metadata is kept.
//
// It changes the object itself, so that nothing else refers to what it drops.
func trim(obj any) (any, error) {
	o, err := meta.Accessor(obj)
	if err != nil {
		return obj, nil //nolint:nilerr // the end of an object whose last state is unknown
	}
	trimMetadata(o)
	shareTexts(o)
	switch o := obj.(type) {
	case *batchv1.Job:
		trimJob(o)
	case *corev1.ConfigMap:
		if !hasMiniCluster(o) && (len(o.OwnerReferences) > 0 || dataSize(o) > maxForeignData) {
			o.Data, o.BinaryData = nil, nil
		}
	case *corev1.Pod:
		status := corev1.PodStatus{Phase: o.Status.Phase, Reason: o.Status.Reason, Message: o.Status.Message, PodIP: o.Status.PodIP}
		o.Spec, o.Status = corev1.PodSpec{}, status
	case *corev1.Namespace:
		*o = corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, DeletionTimestamp: o.DeletionTimestamp,
		}}
	}
	return obj, nil
}

const (
	// maxForeignData is the size of the data of a ConfigMap without owner that is kept. It
	// may be one of a MiniCluster that lost its owners.
	maxForeignData = 32 << 10
	// maxForeignAnnotation is the size of a kept annotation of another owner.
	maxForeignAnnotation = 1 << 10
	// annotationPrefix is that of the annotations of this API group.
	annotationPrefix = v1alpha2.GroupName + "/"
)

// trimMetadata drops managedFields, which often outweigh the rest of an object, and large
// annotations of others, such as the object that was applied last.
func trimMetadata(o metav1.Object) {
	o.SetManagedFields(nil)
	annotations := o.GetAnnotations()
	for key, value := range annotations {
		if key == corev1.LastAppliedConfigAnnotation || len(value) > maxForeignAnnotation && !strings.HasPrefix(key, annotationPrefix) {
			delete(annotations, key)
		}
	}
	if len(annotations) == 0 {
		o.SetAnnotations(nil)
	}
}

// trimJob drops what only the Job controller reads. It keeps of the pod template what identifies ports, sidecars and
// Secrets, the restart policy, and what Kueue adds.
func trimJob(job *batchv1.Job) {
	job.Spec.Selector, job.Spec.PodFailurePolicy = nil, nil
	if job.Spec.SuccessPolicy != nil {
		job.Spec.SuccessPolicy = &batchv1.SuccessPolicy{} // only whether there is one matters
	}
	from := &job.Spec.Template.Spec
	to := corev1.PodSpec{
		Subdomain:      from.Subdomain,
		RestartPolicy:  from.RestartPolicy,
		InitContainers: trimContainers(from.InitContainers),
		Containers:     trimContainers(from.Containers),
	}
	for _, gate := range from.SchedulingGates {
		if gate.Name == resources.GateKueueElastic {
			to.SchedulingGates = []corev1.PodSchedulingGate{{Name: resources.GateKueueElastic}}
		}
	}
	for i := range from.Volumes {
		if v := &from.Volumes[i]; v.Secret != nil || v.Projected != nil {
			to.Volumes = append(to.Volumes, *v)
		}
	}
	var labels map[string]string
	if value := job.Spec.Template.Labels[resources.LabelKueuePodSet]; value != "" {
		labels = map[string]string{resources.LabelKueuePodSet: value}
	}
	job.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: to}
	if u := job.Status.UncountedTerminatedPods; u != nil {
		// Only whether there are any matters.
		job.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{
			Succeeded: slices.Clone(u.Succeeded[:min(1, len(u.Succeeded))]), Failed: slices.Clone(u.Failed[:min(1, len(u.Failed))]),
		}
	}
}

func trimContainers(containers []corev1.Container) []corev1.Container {
	trimmed := make([]corev1.Container, 0, len(containers))
	for i := range containers {
		trimmed = append(trimmed, corev1.Container{Name: containers[i].Name, Ports: containers[i].Ports})
	}
	return trimmed
}

// hasMiniCluster reports whether a MiniCluster is an owner of an object.
func hasMiniCluster(o metav1.Object) bool {
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == v1alpha2.MiniClusterKind.Kind && schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).Group == v1alpha2.GroupName {
			return true
		}
	}
	return false
}

// dataSize is the size of the data of a ConfigMap.
func dataSize(o *corev1.ConfigMap) int {
	size := 0
	for key, value := range o.Data {
		size += len(key) + len(value)
	}
	for key, value := range o.BinaryData {
		size += len(key) + len(value)
	}
	return size
}
