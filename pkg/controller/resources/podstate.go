package resources

import (
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// LeadAddress returns the address of the lead broker's pod; "" when it is not running.
func LeadAddress(pods []corev1.Pod) string {
	for i := range pods {
		pod := &pods[i]
		if index, ok := PodIndex(pod); ok && index == 0 && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			return pod.Status.PodIP
		}
	}
	return ""
}

// PodIndex returns the completion index of a pod of a Job.
func PodIndex(pod *corev1.Pod) (int32, bool) {
	n, err := strconv.ParseInt(pod.Annotations[batchv1.JobCompletionIndexAnnotation], 10, 32)
	return int32(n), err == nil
}
