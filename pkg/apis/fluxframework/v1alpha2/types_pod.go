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
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="['controller-uid', 'job-name', 'batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name', 'batch.kubernetes.io/job-completion-index'].all(k, !(k in self))",message="controller-uid, job-name, and batch.kubernetes.io/controller-uid, job-name and job-completion-index are set by Kubernetes: remove them"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('flux-framework.org/'))",message="keys with the prefix flux-framework.org/ are reserved for the controller: remove them"
	Labels map[string]string `json:"labels,omitempty"`

	// Service account of the pods.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Mount the token of the service account. Unset: the default of Kubernetes.
	// +optional
	AutomountServiceAccountToken *bool `json:"automountServiceAccountToken,omitempty"`

	// Scheduler that places the pods.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^(([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`
	SchedulerName string `json:"schedulerName,omitempty"`

	// Priority class of the pods. Unset: the default of Kubernetes.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// Runtime class of the pods.
	// +optional
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// Restart policy of the pods. Unset: Never, and the Job replaces a pod that
	// failed.
	// +optional
	// +kubebuilder:validation:Enum=Never;OnFailure;""
	RestartPolicy corev1.RestartPolicy `json:"restartPolicy,omitempty"`

	// DNS policy of the pods. Default: ClusterFirst, or ClusterFirstWithHostNet
	// with hostNetwork.
	// +optional
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`

	// DNS servers, search domains and resolver options of the pods, added to
	// those of dnsPolicy.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`

	// Use the host's network namespace. The ports of the pods are then ports of
	// their nodes, so that a node runs one pod of the cluster.
	// +optional
	HostNetwork bool `json:"hostNetwork,omitempty"`

	// Use the host's IPC namespace.
	// +optional
	HostIPC bool `json:"hostIPC,omitempty"`

	// Use the host's PID namespace.
	// +optional
	HostPID bool `json:"hostPID,omitempty"`

	// Labels that a node must have.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Node labels, each with the values that a node may have.
	// +optional
	NodeAffinity map[string][]string `json:"nodeAffinity,omitempty"`

	// Taints that the pods tolerate.
	// +optional
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// How to spread the pods over topology domains. Default of labelSelector: the
	// pods of the cluster.
	// +optional
	// +listType=atomic
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// Resource requests of a pod as a whole.
	// +optional
	Resources corev1.ResourceList `json:"resources,omitempty"`

	// ResourceClaims of the pods (dynamic resource allocation). A container uses
	// those that its resources.claims name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	ResourceClaims []corev1.PodResourceClaim `json:"resourceClaims,omitempty"`

	// Security settings of the pods.
	// +optional
	SecurityContext *corev1.PodSecurityContext `json:"securityContext,omitempty"`

	// Seconds that a pod has to stop. Default: 30, or 120 with an archive.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9223372036
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// Signal that stops the containers that run the entrypoint of their image,
	// for example SIGQUIT. Default: the signal of the image. Containers that run
	// the agent are stopped with SIGTERM. Needs Kubernetes 1.33 or later with
	// the feature gate ContainerStopSignals.
	// +optional
	// +kubebuilder:validation:Pattern=`^(SIG(ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?))?$`
	StopSignal string `json:"stopSignal,omitempty"`
}
