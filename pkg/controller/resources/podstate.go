package resources

import (
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// LeadAddress returns the address of a pod that is the lead broker's; "" when it is not, or
// is not running.
func LeadAddress(pod *corev1.Pod) string {
	if index, ok := PodIndex(pod); ok && index == 0 && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
		return pod.Status.PodIP
	}
	return ""
}

// PodEnded reports whether all containers of a pod have ended permanently.
func PodEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// PodReady reports whether a pod is ready.
func PodReady(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// PodIndex returns the completion index of a pod of a Job.
func PodIndex(pod *corev1.Pod) (int32, bool) {
	n, err := strconv.ParseInt(pod.Annotations[batchv1.JobCompletionIndexAnnotation], 10, 32)
	return int32(n), err == nil
}

// LeadStarted reports whether a pod is that of the lead, of a Job that was deleted, and its Flux container had started
// before. flux is the name of the container.
func LeadStarted(pod *corev1.Pod, job types.UID, flux string) bool {
	index, ok := PodIndex(pod)
	owner := metav1.GetControllerOf(pod)
	if !ok || index != 0 || owner != nil && owner.UID != job {
		return false
	}
	status := containerStatus(pod, flux)
	switch {
	case status == nil:
		return false
	case status.State.Running != nil || status.LastTerminationState.Terminated != nil:
		return true
	case status.State.Terminated == nil:
		return false
	case pod.DeletionTimestamp == nil:
		return true
	}
	// A kubelet reports an end, too, of a container that it did not start any more.
	requested := pod.DeletionTimestamp.Add(-time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 0)) * time.Second)
	started := status.State.Terminated.StartedAt
	return !started.IsZero() && started.Time.Before(requested)
}

// containerStatus returns the status of a container of a pod; nil where it has none.
func containerStatus(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == name {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}
