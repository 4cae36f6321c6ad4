package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
)

// PodSpec holds settings of every pod of a MiniCluster.
type PodSpec struct {
	// Annotations of the pods.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// Labels of the pods. Labels of the controller take precedence.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// Service account of the pods.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Mount the service account's token. Unset: Kubernetes' own default.
	// +optional
	AutomountServiceAccountToken *bool `json:"automountServiceAccountToken,omitempty"`

	// Scheduler that places the pods.
	// +optional
	SchedulerName string `json:"schedulerName,omitempty"`

	// Priority class of the pods. Unset: Kubernetes' own default.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// Runtime class of the pods.
	// +optional
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// Restart policy of the pods. Unset: Never, and the Job replaces a pod that
	// was lost.
	// +optional
	// +kubebuilder:validation:Enum=Never;OnFailure;""
	RestartPolicy corev1.RestartPolicy `json:"restartPolicy,omitempty"`

	// DNS policy of the pods.
	// +optional
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`

	// Use the host's IPC namespace.
	// +optional
	HostIPC bool `json:"hostIPC,omitempty"`

	// Use the host's PID namespace.
	// +optional
	HostPID bool `json:"hostPID,omitempty"`

	// Labels that a node must have.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Node labels and the values of which a node must have one each.
	// +optional
	NodeAffinity map[string][]string `json:"nodeAffinity,omitempty"`

	// Taints that the pods tolerate.
	// +optional
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Resources that a pod asks for as a whole.
	// +optional
	Resources corev1.ResourceList `json:"resources,omitempty"`

	// Security settings of the pods.
	// +optional
	SecurityContext *corev1.PodSecurityContext `json:"securityContext,omitempty"`

	// Seconds that a pod has to stop. Default: 30, or 120 with an archive.
	// +optional
	// +kubebuilder:validation:Minimum=1
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`
}
