package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:method=GetScale,verb=get,subresource=scale,result=k8s.io/api/autoscaling/v1.Scale
// +genclient:method=UpdateScale,verb=update,subresource=scale,input=k8s.io/api/autoscaling/v1.Scale,result=k8s.io/api/autoscaling/v1.Scale
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:path=miniclusters,singular=minicluster,scope=Namespaced,shortName=mc,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.size,statuspath=.status.size,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="Size",type=integer,JSONPath=`.status.size`,description="Pods that exist and have not finished"
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.readySize`,description="Pods that are ready"
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.status.maximumSize`,description="Largest size of the cluster, fixed at creation"
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Reason of the Ready condition"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be an RFC 1035 label, because pods, a Service and host names are named after it: use a-z, 0-9 and '-' only, start with a letter and end with a letter or digit"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="oldSelf.hasValue() || self.metadata.name.size() + 2 + [10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000].filter(p, (has(self.spec.size) ? self.spec.size : (has(self.spec.minSize) ? self.spec.minSize : 1)) > p || (has(self.spec.maxSize) && self.spec.maxSize > p)).size() <= 63",message="metadata.name is too long: the host name of the last pod, metadata.name + '-' + (the larger of spec.size and spec.maxSize, minus 1), has more than 63 characters; shorten metadata.name"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="oldSelf.hasValue() || !has(self.spec.services) || self.spec.services.size() == 0 || self.metadata.name.size() <= 54",message="metadata.name is too long: the services pod is named metadata.name + '-services', which has more than 63 characters; shorten metadata.name to 54 characters or remove spec.services"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,fieldPath=".spec.size",rule="oldSelf.hasValue() || !has(self.spec.size) || self.spec.size <= 100000",message="spec.size must be at most 100000, the largest parallelism of an Indexed Job"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,fieldPath=".spec.maxSize",rule="oldSelf.hasValue() || !has(self.spec.maxSize) || self.spec.maxSize == 0 || self.spec.maxSize >= (has(self.spec.size) ? self.spec.size : (has(self.spec.minSize) ? self.spec.minSize : 1))",message="spec.maxSize must not be less than spec.size, or than spec.minSize where spec.size is unset: raise spec.maxSize, lower spec.size, or leave out spec.maxSize"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,fieldPath=".spec.minSize",rule="oldSelf.hasValue() || !has(self.spec.size) || !has(self.spec.minSize) || self.spec.minSize <= self.spec.size || (self.spec.size == 0 && has(self.spec.hibernation) && has(self.spec.hibernation.scaleToZero) && self.spec.hibernation.scaleToZero)",message="spec.minSize must not be more than spec.size: lower spec.minSize or raise spec.size"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,fieldPath=".spec.hibernation",rule="oldSelf.hasValue() || !has(self.spec.hibernation) || self.spec.hibernation.state != 'Keep' || (has(self.spec.archive) && has(self.spec.archive.path) && self.spec.archive.path != '') || (has(self.spec.flux) && has(self.spec.flux.state))",message="spec.hibernation.state Keep needs something to keep the state in: set spec.archive.path or spec.flux.state, or set spec.hibernation.state to Discard"

// MiniCluster is a Flux cluster in Kubernetes: one Indexed Job, whose pod of
// index 0 runs the lead broker and whose other pods run follower brokers. Its
// size can change while programs run, between minSize (at least 1) and the
// maximum that is fixed at creation.
type MiniCluster struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is an RFC 1035 label, so short that
	// NAME-INDEX of the largest index is a host name (63 characters).
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Desired state of the cluster.
	// +required
	Spec MiniClusterSpec `json:"spec"`

	// Observed state of the cluster, written by the controller.
	// +optional
	// +kubebuilder:default={observedGeneration:-1}
	Status MiniClusterStatus `json:"status,omitzero"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// MiniClusterList is a list of MiniClusters.
type MiniClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MiniCluster `json:"items"`
}

// MiniClusterSpec describes a MiniCluster. While its pods exist, only size,
// minSize, autoscaling, scaleDown, suspend, hibernation, opportunistic and cleanup
// may change. The controller reports an edit of any other field in the Accepted
// condition, and applies it when a hibernated cluster wakes.
type MiniClusterSpec struct {
	// Containers of every pod. Exactly one of them runs Flux: the one with
	// runFlux, or the only one. The others are sidecars.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.size() == 1 || self.filter(c, has(c.runFlux) && c.runFlux).size() == 1",message="exactly one of several containers must run Flux: set runFlux to true in one of them"
	// +kubebuilder:validation:XValidation:rule="self.size() == 1 || self.all(c, (has(c.runFlux) && c.runFlux) || (has(c.name) && c.name != ''))",message="a container that does not run Flux needs a name: set name"
	// +kubebuilder:validation:XValidation:rule="self.all(c, (self.size() > 1 && !(has(c.runFlux) && c.runFlux)) || !has(c.command) || c.command == '' || !has(c.commands) || !has(c.commands.script) || c.commands.script == '')",message="command and commands.script exclude each other in the container that runs Flux: remove one of them"
	// +kubebuilder:validation:items:XValidation:rule="!(has(self.launcher) && self.launcher && has(self.batch) && self.batch)",message="launcher and batch exclude each other: remove one of them"
	Containers []MiniClusterContainer `json:"containers"`

	// Containers of one additional pod, NAME-services, which runs next to the
	// cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XValidation:rule="has(self.name) && self.name != ''",message="a container of the services pod needs a name: set name"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.commands) || ((!has(self.commands.pre) || self.commands.pre == '') && (!has(self.commands.brokerPre) || self.commands.brokerPre == '') && (!has(self.commands.workerPre) || self.commands.workerPre == ''))",message="containers of the services pod do not run Flux: remove commands.pre, commands.brokerPre and commands.workerPre"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.preCommand) || self.preCommand == ''",message="containers of the services pod do not run Flux: remove preCommand"
	Services []MiniClusterContainer `json:"services,omitempty"`

	// Number of pods (brokers). The scale subresource writes this field. The
	// controller resets a value that is below minSize or above the maximum.
	// Default: minSize, at least 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Size *int32 `json:"size,omitempty"`

	// Largest size of the cluster: the number of hosts that the brokers are
	// configured with. Fixed at creation. Default: size.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxSize int32 `json:"maxSize,omitempty"`

	// Smallest size of the cluster, at least 1. It is also the number of
	// brokers that must be online before the first program starts (the quorum of
	// Flux), which is size where minSize is unset.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MinSize int32 `json:"minSize,omitempty"`

	// Let the controller create a HorizontalPodAutoscaler for the cluster. The metric
	// needs minicluster-metrics, CPU needs metrics-server.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.minSize) || !has(self.maxSize) || self.maxSize == 0 || self.minSize <= self.maxSize",message="minSize must not be more than maxSize: lower minSize or raise maxSize"
	// +kubebuilder:validation:XValidation:rule="!has(self.cpuUtilization) || self.metric == 'CPU'",message="cpuUtilization needs metric CPU: set metric to CPU or remove cpuUtilization"
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`

	// How the cluster shrinks.
	// +optional
	ScaleDown *ScaleDown `json:"scaleDown,omitempty"`

	// How the cluster grows. Default: it waits for pods without limit.
	// +optional
	ScaleUp *ScaleUp `json:"scaleUp,omitempty"`

	// Stop the cluster and keep its state. True at creation: the cluster is not
	// started yet.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// How the cluster hibernates.
	// +optional
	Hibernation *Hibernation `json:"hibernation,omitempty"`

	// Use only the capacity that others leave free. Unset: the pods count as those of
	// any other workload.
	// +optional
	Opportunistic *Opportunistic `json:"opportunistic,omitempty"`

	// Number of tasks of the command: flux submit -n. 0 requests whole nodes
	// only.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Tasks *int32 `json:"tasks,omitempty"`

	// Start the brokers without a program. The cluster runs the jobs that users
	// submit to it.
	// +optional
	// +kubebuilder:default=false
	Interactive bool `json:"interactive,omitempty"`

	// Delete the MiniCluster and its objects once its program has finished.
	// +optional
	// +kubebuilder:default=false
	Cleanup bool `json:"cleanup,omitempty"`

	// Seconds that the Job may be active (activeDeadlineSeconds); 0 sets no
	// limit.
	// +optional
	// +kubebuilder:default=31500000
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9223372036
	DeadlineSeconds *int64 `json:"deadlineSeconds,omitempty"`

	// Number of pod failures after which the Job fails. Unset: evicted pods do
	// not count, 100 pods that are killed or stopped are replaced, and a failure
	// of the application fails the Job at once.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// Labels of the Job, for example kueue.x-k8s.io/queue-name. Labels of the
	// controller take precedence.
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="['controller-uid', 'job-name', 'batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name', 'batch.kubernetes.io/job-completion-index'].all(k, !(k in self))",message="controller-uid, job-name, and batch.kubernetes.io/controller-uid, job-name and job-completion-index are set by Kubernetes: remove them"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('flux-framework.org/'))",message="keys with the prefix flux-framework.org/ are reserved for the controller: remove them"
	JobLabels map[string]string `json:"jobLabels,omitempty"`

	// Annotations of the Job, for example kueue.x-k8s.io/elastic-job.
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('flux-framework.org/'))",message="keys with the prefix flux-framework.org/ are reserved for the controller: remove them"
	JobAnnotations map[string]string `json:"jobAnnotations,omitempty"`

	// Share one process namespace between the containers of a pod.
	// +optional
	ShareProcessNamespace bool `json:"shareProcessNamespace,omitempty"`

	// Settings of the Flux brokers.
	// +optional
	Flux *FluxSpec `json:"flux,omitempty"`

	// What the pods print.
	// +optional
	Logging *LoggingSpec `json:"logging,omitempty"`

	// Settings of every pod.
	// +optional
	Pod *PodSpec `json:"pod,omitempty"`

	// Network names and placement of the pods.
	// +optional
	Network *Network `json:"network,omitempty"`

	// How the pods are distributed over the nodes: Spread prefers nodes without a
	// pod of the cluster, Pack nodes that have one. Default: Spread, or none with
	// network.disableAffinity.
	// +optional
	// +kubebuilder:validation:Enum=Spread;Pack
	Placement Placement `json:"placement,omitempty"`

	// How the pod of the lead broker differs from the others, for example to run it
	// on a kind of node that is not interrupted.
	// +optional
	Lead *Lead `json:"lead,omitempty"`

	// What happens to ranks when their nodes go away.
	// +optional
	Disruption *Disruption `json:"disruption,omitempty"`

	// File that the state of the Flux instance is saved to and restored from.
	// +optional
	Archive *FluxArchive `json:"archive,omitempty"`

	// Start the Flux instance with the jobs of another MiniCluster.
	// +optional
	RestoreFrom *RestoreSource `json:"restoreFrom,omitempty"`

	// Volumes that the controller creates (a PersistentVolume and a
	// PersistentVolumeClaim each), by name. Containers mount them by that name.
	// +optional
	Volumes map[string]MiniClusterVolume `json:"volumes,omitempty"`

	// Additional users of the Flux instance.
	// +optional
	// +listType=atomic
	Users []MiniClusterUser `json:"users,omitempty"`

	// Settings of the Flux RESTful API server of 2023. Accepted for
	// compatibility; without effect.
	// +optional
	FluxRestful *FluxRestful `json:"fluxRestful,omitempty"`
}

// ScaleDown describes how a MiniCluster shrinks.
type ScaleDown struct {
	// Seconds to wait for jobs on the ranks that are removed, after these are
	// drained; 0 removes them at once. Unset: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DrainTimeoutSeconds *int32 `json:"drainTimeoutSeconds,omitempty"`

	// What to do while the agent of the lead broker is unreachable, so that ranks
	// cannot be drained: Proceed removes the pods after a timeout of the
	// controller, Wait keeps them until the agent answers.
	// +optional
	// +kubebuilder:default=Proceed
	// +kubebuilder:validation:Enum=Proceed;Wait
	OnUnreachable OnUnreachable `json:"onUnreachable,omitempty"`
}

// OnUnreachable is what to do while the agent of the lead broker is unreachable.
type OnUnreachable string

const (
	// OnUnreachableProceed shrinks the cluster without draining after a timeout.
	OnUnreachableProceed OnUnreachable = "Proceed"
	// OnUnreachableWait does not shrink the cluster until its ranks are drained.
	OnUnreachableWait OnUnreachable = "Wait"
)

// LoggingSpec describes what the pods print.
type LoggingSpec struct {
	// Print details of flux submit and flux batch (-vvv).
	// +optional
	// +kubebuilder:default=false
	Debug bool `json:"debug,omitempty"`

	// Print the output of the application only.
	// +optional
	// +kubebuilder:default=false
	Quiet bool `json:"quiet,omitempty"`

	// Fail when a hook fails. Default: true in the system layout where logging
	// is set, otherwise false.
	// +optional
	Strict *bool `json:"strict,omitempty"`

	// Print the wall time of flux start and of the submitted job.
	// +optional
	// +kubebuilder:default=false
	Timed bool `json:"timed,omitempty"`

	// Log the events of the ZeroMQ sockets of the brokers.
	// +optional
	// +kubebuilder:default=false
	ZeroMQ bool `json:"zeromq,omitempty"`
}

// Network describes the network names and the placement of the pods.
type Network struct {
	// Name of the headless Service, which is the subdomain of the pods. Default:
	// flux-service in the system layout, the name of the MiniCluster in the view
	// layout. Several MiniClusters of a namespace may share one.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	HeadlessName string `json:"headlessName,omitempty"`

	// Omit the preferred affinity that spreads pods over the nodes of one zone.
	// spec.placement replaces this field and takes precedence.
	// +optional
	DisableAffinity bool `json:"disableAffinity,omitempty"`
}

// FluxArchive describes the file that the state of the Flux instance is saved to
// and restored from.
type FluxArchive struct {
	// File of the archive (flux dump). The lead broker restores it into an empty
	// state directory when it starts, and writes it when it stops.
	// +optional
	Path string `json:"path,omitempty"`

	// Seconds between two archives while the cluster runs; 0 writes one only
	// when the lead broker stops.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`

	// File to which the lead appends a record of each job that has ended, after
	// it has written the archive for the last time: one JSON object a line.
	// +optional
	JobRecords string `json:"jobRecords,omitempty"`
}
