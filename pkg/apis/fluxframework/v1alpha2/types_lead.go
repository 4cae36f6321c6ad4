package v1alpha2

import corev1 "k8s.io/api/core/v1"

// Lead describes how the pod of the lead broker, index 0, differs from the other
// pods. It requires the admission policy of manifests/lead-placement.
type Lead struct {
	// Labels of nodes for the pod, in addition to pod.nodeSelector, whose values it
	// replaces.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations of the pod, in addition to pod.tolerations.
	// +optional
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
}
