package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
)

// FluxSpec holds settings of the Flux brokers.
type FluxSpec struct {
	// Prefix under which Flux is installed in the image of the Flux container.
	// Set, it selects the system layout of v1alpha1 (/etc/flux, /run/flux, user
	// flux); v1alpha1 defaults it to /usr. Empty selects the view layout of
	// v1alpha2, where Flux comes from flux.container. Fixed at creation.
	// +optional
	InstallRoot string `json:"installRoot,omitempty"`

	// The container that brings Flux to the pods (view layout).
	// +optional
	Container *FluxContainer `json:"container,omitempty"`

	// Time that a follower waits for a connection to its parent (Flux standard
	// duration), tbon.connect_timeout.
	// +optional
	// +kubebuilder:default="5s"
	ConnectTimeout string `json:"connectTimeout,omitempty"`

	// Severity that the brokers print: 0 (emergency) to 7 (debug); nothing when
	// negative.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Maximum=7
	LogLevel *int32 `json:"logLevel,omitempty"`

	// Further options of flux submit or flux batch.
	// +optional
	OptionFlags string `json:"optionFlags,omitempty"`

	// Takes the place of `flux submit`.
	// +optional
	SubmitCommand string `json:"submitCommand,omitempty"`

	// Command that wraps the broker: `flux start --wrap`.
	// +optional
	Wrap string `json:"wrap,omitempty"`

	// Text that takes the place of the generated broker.toml.
	// +optional
	BrokerConfig string `json:"brokerConfig,omitempty"`

	// CURVE certificate of the brokers (the text that flux keygen writes),
	// instead of a generated one.
	// +optional
	CurveCert string `json:"curveCert,omitempty"`

	// Name of a Secret that holds the CURVE certificate under the key
	// curve.cert; it takes precedence over curveCert.
	// +optional
	CurveCertSecret string `json:"curveCertSecret,omitempty"`

	// Name of a Secret that holds a MUNGE key, mounted at /etc/munge.
	// +optional
	MungeSecret string `json:"mungeSecret,omitempty"`

	// Clusters elsewhere that take part in this Flux instance.
	// +optional
	Bursting *Bursting `json:"bursting,omitempty"`

	// The scheduler of the instance.
	// +optional
	Scheduler *FluxScheduler `json:"scheduler,omitempty"`

	// Topology of the tree of brokers, tbon.topo: flat, kary:N, mincrit:N, binomial,
	// custom.
	// +optional
	Topology string `json:"topology,omitempty"`

	// Make a ClusterIP Service of port 8050 for the lead broker instead of a
	// headless Service for all pods.
	// +optional
	MinimalService bool `json:"minimalService,omitempty"`

	// Let a follower's pod complete when its broker ends, whatever its exit
	// code; its index never comes back.
	// +optional
	CompleteWorkers bool `json:"completeWorkers,omitempty"`

	// Do not open the local socket at its usual place.
	// +optional
	DisableSocket bool `json:"disableSocket,omitempty"`

	// Sidecars do not wait for the local socket.
	// +optional
	NoWaitSocket bool `json:"noWaitSocket,omitempty"`

	// Environment of the brokers, by name.
	// +optional
	Environment map[string]string `json:"environment,omitempty"`

	// Machine architecture of the view. Kept for compatibility.
	// +optional
	Arch string `json:"arch,omitempty"`

	// Where the lead broker keeps its state, so that no job is lost when its
	// pod is.
	// +optional
	State *FluxState `json:"state,omitempty"`
}

// FluxContainer is the container that brings Flux to the pods.
type FluxContainer struct {
	// The image of the Flux container has Flux already: bring none.
	// +optional
	// +kubebuilder:default=false
	Disable bool `json:"disable,omitempty"`

	// Image that holds Flux.
	// +optional
	// +kubebuilder:default="ghcr.io/converged-computing/flux-view-ubuntu:tag-noble"
	Image string `json:"image,omitempty"`

	// Name of a Secret to pull the image with.
	// +optional
	ImagePullSecret string `json:"imagePullSecret,omitempty"`

	// Directory of the view in the pods.
	// +optional
	// +kubebuilder:default="/mnt/flux"
	MountPath string `json:"mountPath,omitempty"`

	// Name of the container and of its volume.
	// +optional
	// +kubebuilder:default="flux-view"
	Name string `json:"name,omitempty"`

	// Always pull the image.
	// +optional
	// +kubebuilder:default=false
	PullAlways bool `json:"pullAlways,omitempty"`

	// Value of PYTHONPATH for Flux, instead of the view's own.
	// +optional
	PythonPath string `json:"pythonPath,omitempty"`

	// Resource requests and limits of the container.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// Security settings of the container.
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`

	// Working directory of the container.
	// +optional
	WorkingDir string `json:"workingDir,omitempty"`
}

// FluxScheduler selects and sets the scheduler of the instance.
type FluxScheduler struct {
	// queue-policy of Fluxion's qmanager: fcfs, easy, conservative, hybrid.
	// +optional
	QueuePolicy string `json:"queuePolicy,omitempty"`

	// Use sched-simple and not Fluxion, even where Fluxion is installed.
	// +optional
	Simple bool `json:"simple,omitempty"`
}

// Bursting names clusters elsewhere that take part in this Flux instance.
// +kubebuilder:validation:XValidation:rule="!(has(self.hostlist) && size(self.hostlist) > 0 && has(self.clusters) && self.clusters.size() > 0)",message="hostlist and clusters exclude each other: remove one of them"
type Bursting struct {
	// The lead broker elsewhere; it makes this cluster a child of that one.
	// +optional
	LeadBroker *LeadBroker `json:"leadBroker,omitempty"`

	// Clusters that may join, appended to the host list.
	// +optional
	// +listType=atomic
	Clusters []BurstedCluster `json:"clusters,omitempty"`

	// The whole host list (RFC 29), instead of clusters.
	// +optional
	Hostlist string `json:"hostlist,omitempty"`
}

// LeadBroker is a lead broker in another cluster.
type LeadBroker struct {
	// Name of its MiniCluster: the prefix of its host names.
	// +required
	Name string `json:"name"`

	// Address by which it is reached.
	// +required
	Address string `json:"address"`

	// Port by which it is reached.
	// +optional
	// +kubebuilder:default=8050
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// Number of hosts of its cluster.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int32 `json:"size"`
}

// BurstedCluster is a cluster elsewhere that may join.
type BurstedCluster struct {
	// Prefix of its host names; burst-INDEX where unset.
	// +optional
	Name string `json:"name,omitempty"`

	// Number of its hosts; the size of this cluster where unset.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Size int32 `json:"size,omitempty"`
}

// FluxState is a volume for the lead broker's state directory.
type FluxState struct {
	// Name of a PersistentVolumeClaim in the MiniCluster's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	ClaimName string `json:"claimName"`

	// Directory in the volume.
	// +optional
	SubPath string `json:"subPath,omitempty"`
}
