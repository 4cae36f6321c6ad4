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
// +kubebuilder:printcolumn:name="Size",type=integer,JSONPath=`.status.size`,description="Pods that exist"
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.readySize`,description="Pods that are ready"
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.status.maximumSize`,description="Largest size, fixed at creation"
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Reason of the Ready condition"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be an RFC 1035 label, because pods, a Service and host names are named after it: use a-z, 0-9 and '-' only, start with a letter and end with a letter or digit"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="oldSelf.hasValue() || self.metadata.name.size() + 2 + [10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000].filter(p, self.spec.size > p || (has(self.spec.maxSize) && self.spec.maxSize > p)).size() <= 63",message="metadata.name is too long: the host name of the last pod, metadata.name + '-' + (the larger of spec.size and spec.maxSize, less 1), has more than 63 characters; shorten metadata.name"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="oldSelf.hasValue() || !has(self.spec.services) || self.spec.services.size() == 0 || self.metadata.name.size() <= 54",message="metadata.name is too long: the services pod is named metadata.name + '-services', which has more than 63 characters; shorten metadata.name to 54 characters or remove spec.services"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,fieldPath=".spec.maxSize",rule="oldSelf.hasValue() || !has(self.spec.maxSize) || self.spec.maxSize == 0 || self.spec.maxSize >= self.spec.size",message="spec.maxSize must not be less than spec.size: raise spec.maxSize, lower spec.size, or leave out spec.maxSize"
// +kubebuilder:validation:XValidation:optionalOldSelf=true,fieldPath=".spec.minSize",rule="oldSelf.hasValue() || !has(self.spec.minSize) || self.spec.minSize <= self.spec.size",message="spec.minSize must not be more than spec.size: lower spec.minSize or raise spec.size"

// MiniCluster is a Flux cluster in Kubernetes: one Indexed Job whose pod 0
// runs the lead broker and whose other pods run follower brokers. Its size can
// change while work runs, between 1 (or minSize) and the maximum that was fixed
// when it was created.
type MiniCluster struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is an RFC 1035 label, short enough
	// that NAME-INDEX of the largest index is a host name (63 characters).
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What the cluster should be.
	// +required
	Spec MiniClusterSpec `json:"spec"`

	// What the controller last saw.
	// +optional
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

// MiniClusterSpec describes a MiniCluster. After creation only size, minSize,
// scaleDown and cleanup may change; an edit of any other field is reported in
// the Accepted condition and otherwise ignored.
type MiniClusterSpec struct {
	// Containers of every pod. Exactly one runs Flux: the one with runFlux, or
	// the only one. The others are sidecars.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.size() == 1 || self.filter(c, has(c.runFlux) && c.runFlux).size() == 1",message="exactly one of several containers must run Flux: set runFlux to true in one of them"
	// +kubebuilder:validation:XValidation:rule="self.size() == 1 || self.all(c, (has(c.runFlux) && c.runFlux) || (has(c.name) && c.name != ''))",message="a container that does not run Flux needs a name: set name"
	// +kubebuilder:validation:XValidation:rule="self.all(c, (self.size() > 1 && !(has(c.runFlux) && c.runFlux)) || !has(c.command) || c.command == '' || !has(c.commands) || !has(c.commands.script) || c.commands.script == '')",message="command and commands.script exclude each other in the container that runs Flux: remove one of them"
	// +kubebuilder:validation:items:XValidation:rule="!(has(self.launcher) && self.launcher && has(self.batch) && self.batch)",message="launcher and batch exclude each other: remove one of them"
	Containers []MiniClusterContainer `json:"containers"`

	// Containers of one extra pod, NAME-services, that lives beside the cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XValidation:rule="has(self.name) && self.name != ''",message="a container of the services pod needs a name: set name"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.commands) || ((!has(self.commands.pre) || self.commands.pre == '') && (!has(self.commands.brokerPre) || self.commands.brokerPre == '') && (!has(self.commands.workerPre) || self.commands.workerPre == ''))",message="containers of the services pod run no Flux: remove commands.pre, commands.brokerPre and commands.workerPre"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.preCommand) || self.preCommand == ''",message="containers of the services pod run no Flux: remove preCommand"
	Services []MiniClusterContainer `json:"services,omitempty"`

	// Number of pods (brokers). The scale subresource writes this field. A
	// value outside 1 (or minSize) to the maximum is put back by the controller.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Size *int32 `json:"size,omitempty"`

	// Largest size the cluster may ever have: the number of hosts that are
	// registered with the lead broker. Fixed at creation; size where unset.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxSize int32 `json:"maxSize,omitempty"`

	// Smallest size the cluster may have (never below 1). Brokers that must be
	// up before the first program starts (Flux quorum); size where unset.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinSize int32 `json:"minSize,omitempty"`

	// How the cluster shrinks.
	// +optional
	ScaleDown *ScaleDown `json:"scaleDown,omitempty"`

	// Number of tasks of the command: `flux submit -n`. 0 asks for whole nodes
	// only.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Tasks *int32 `json:"tasks,omitempty"`

	// Start the brokers and run no program: the cluster waits for work to be
	// submitted to it.
	// +optional
	// +kubebuilder:default=false
	Interactive bool `json:"interactive,omitempty"`

	// Delete the MiniCluster and all it made once its work has finished.
	// +optional
	// +kubebuilder:default=false
	Cleanup bool `json:"cleanup,omitempty"`

	// Seconds that the Job may run, from its start; 0 sets no limit.
	// +optional
	// +kubebuilder:default=31500000
	// +kubebuilder:validation:Minimum=0
	DeadlineSeconds *int64 `json:"deadlineSeconds,omitempty"`

	// Pod failures that the Job endures before it fails. Unset: pods that are
	// evicted don't count, 100 that are killed or stopped are replaced, and a
	// failure of the application ends the Job at once.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// Labels of the Job, for example kueue.x-k8s.io/queue-name.
	// +optional
	JobLabels map[string]string `json:"jobLabels,omitempty"`

	// Let the containers of a pod see each other's processes.
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

	// Names and placement on the network.
	// +optional
	Network *Network `json:"network,omitempty"`

	// Where the work of the cluster is saved and restored from.
	// +optional
	Archive *FluxArchive `json:"archive,omitempty"`

	// Volumes that the controller makes (a PersistentVolume and a claim each),
	// by name; containers mount them by the same name.
	// +optional
	Volumes map[string]MiniClusterVolume `json:"volumes,omitempty"`

	// Further users of a cluster that several people share.
	// +optional
	// +listType=atomic
	Users []MiniClusterUser `json:"users,omitempty"`

	// Settings of the Flux RESTful API server of 2023. It is accepted, so that
	// documents of that time apply, and has no effect any more.
	// +optional
	FluxRestful *FluxRestful `json:"fluxRestful,omitempty"`
}

// ScaleDown says how a MiniCluster gives up pods.
type ScaleDown struct {
	// Seconds to wait for work on leaving ranks to end once they are drained;
	// 0 stops them at once. Unset: wait as long as the work takes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DrainTimeoutSeconds *int32 `json:"drainTimeoutSeconds,omitempty"`
}

// LoggingSpec says what the pods print.
type LoggingSpec struct {
	// Print more of what submit and batch do (-vvv).
	// +optional
	// +kubebuilder:default=false
	Debug bool `json:"debug,omitempty"`

	// Print the output of the application only.
	// +optional
	// +kubebuilder:default=false
	Quiet bool `json:"quiet,omitempty"`

	// Fail when a hook fails. Default: true in the system layout when logging
	// is given, otherwise false.
	// +optional
	Strict *bool `json:"strict,omitempty"`

	// Print the wall time of flux start and of the submitted job.
	// +optional
	// +kubebuilder:default=false
	Timed bool `json:"timed,omitempty"`

	// Log the events of the brokers' ZeroMQ sockets.
	// +optional
	// +kubebuilder:default=false
	ZeroMQ bool `json:"zeromq,omitempty"`
}

// Network describes names and placement on the network.
type Network struct {
	// Name of the headless Service, the pods' subdomain. Default: flux-service
	// in the system layout, the MiniCluster's name in the view layout. Several
	// MiniClusters of a namespace may share one.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	HeadlessName string `json:"headlessName,omitempty"`

	// Leave out the soft affinity that spreads pods over nodes of one zone.
	// +optional
	DisableAffinity bool `json:"disableAffinity,omitempty"`
}

// FluxArchive says where the work of the cluster is saved and restored from.
type FluxArchive struct {
	// File that holds the archive (flux dump). It is restored into an empty
	// state directory at the start and written when the cluster stops.
	// +optional
	Path string `json:"path,omitempty"`

	// Seconds between two archives while the cluster runs; 0 writes one only
	// when it stops.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`
}
