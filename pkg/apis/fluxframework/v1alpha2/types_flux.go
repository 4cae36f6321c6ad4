package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
)

// FluxSpec holds settings of the Flux brokers.
type FluxSpec struct {
	// Installation prefix of Flux in the image of the container that runs Flux.
	// If set, the pods have the system layout of v1alpha1 (/etc/flux, /run/flux,
	// user flux); v1alpha1 defaults it to /usr. If empty, they have the view
	// layout of v1alpha2, where Flux comes from flux.container. Fixed at creation.
	// +optional
	InstallRoot string `json:"installRoot,omitempty"`

	// Container that provides Flux to the pods (view layout).
	// +optional
	Container *FluxContainer `json:"container,omitempty"`

	// Time that a follower broker waits for a connection to its parent, a Flux
	// Standard Duration (tbon.connect_timeout).
	// +optional
	// +kubebuilder:default="5s"
	ConnectTimeout string `json:"connectTimeout,omitempty"`

	// Severity up to which the brokers print log messages: 0 (emergency) to 7
	// (debug); a negative value prints none.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Maximum=7
	LogLevel *int32 `json:"logLevel,omitempty"`

	// Additional options of flux submit or flux batch.
	// +optional
	OptionFlags string `json:"optionFlags,omitempty"`

	// Command to run instead of flux submit.
	// +optional
	SubmitCommand string `json:"submitCommand,omitempty"`

	// Command that wraps the broker (flux start --wrap).
	// +optional
	Wrap string `json:"wrap,omitempty"`

	// Text of broker.toml, instead of the generated one.
	// +optional
	BrokerConfig string `json:"brokerConfig,omitempty"`

	// CURVE certificate of the brokers, as flux keygen writes it, instead of a
	// generated one.
	// +optional
	CurveCert string `json:"curveCert,omitempty"`

	// Name of a Secret that has the CURVE certificate under the key curve.cert.
	// It takes precedence over curveCert.
	// +optional
	CurveCertSecret string `json:"curveCertSecret,omitempty"`

	// Name of a Secret with a MUNGE key, mounted at /etc/munge.
	// +optional
	MungeSecret string `json:"mungeSecret,omitempty"`

	// Other clusters that are part of this Flux instance.
	// +optional
	Bursting *Bursting `json:"bursting,omitempty"`

	// Scheduler of the Flux instance.
	// +optional
	Scheduler *FluxScheduler `json:"scheduler,omitempty"`

	// Topology of the brokers (tbon.topo): flat, kary:N, mincrit:N, binomial or
	// custom.
	// +optional
	Topology string `json:"topology,omitempty"`

	// Create a ClusterIP Service with port 8050 for the lead broker, instead of a
	// headless Service for all pods.
	// +optional
	MinimalService bool `json:"minimalService,omitempty"`

	// Complete the pod of a follower broker when the broker exits, whatever its
	// exit code. The Job does not replace the pod.
	// +optional
	CompleteWorkers bool `json:"completeWorkers,omitempty"`

	// Do not create the local socket of the brokers at its usual path.
	// +optional
	DisableSocket bool `json:"disableSocket,omitempty"`

	// Start sidecars without waiting for the local socket.
	// +optional
	NoWaitSocket bool `json:"noWaitSocket,omitempty"`

	// Environment variables of the brokers, by name.
	// +optional
	Environment map[string]string `json:"environment,omitempty"`

	// Machine architecture of the view. Accepted for compatibility; without
	// effect.
	// +optional
	Arch string `json:"arch,omitempty"`

	// Volume of the state directory of the lead broker, so that jobs survive the
	// loss of its pod.
	// +optional
	State *FluxState `json:"state,omitempty"`
}

// FluxContainer is the container that provides Flux to the pods.
type FluxContainer struct {
	// Do not add the container: the image of the container that runs Flux
	// contains Flux.
	// +optional
	// +kubebuilder:default=false
	Disable bool `json:"disable,omitempty"`

	// Image that contains Flux.
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

	// PYTHONPATH of Flux, instead of the one of the view.
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

// FluxScheduler selects and configures the scheduler of the Flux instance.
type FluxScheduler struct {
	// Queue policy of Fluxion (queue-policy of sched-fluxion-qmanager): fcfs,
	// easy, conservative or hybrid.
	// +optional
	QueuePolicy string `json:"queuePolicy,omitempty"`

	// Use sched-simple even if Fluxion is installed.
	// +optional
	Simple bool `json:"simple,omitempty"`
}

// Bursting describes other clusters that are part of this Flux instance.
// +kubebuilder:validation:XValidation:rule="!(has(self.hostlist) && size(self.hostlist) > 0 && has(self.clusters) && self.clusters.size() > 0)",message="hostlist and clusters exclude each other: remove one of them"
type Bursting struct {
	// Lead broker of another cluster. The brokers of this cluster are then its
	// followers.
	// +optional
	LeadBroker *LeadBroker `json:"leadBroker,omitempty"`

	// Clusters that may join. Their hosts are appended to the host list.
	// +optional
	// +listType=atomic
	Clusters []BurstedCluster `json:"clusters,omitempty"`

	// Complete host list (Flux RFC 29), instead of clusters.
	// +optional
	Hostlist string `json:"hostlist,omitempty"`
}

// LeadBroker is the lead broker of another cluster.
type LeadBroker struct {
	// Name of its MiniCluster, the prefix of its host names.
	// +required
	Name string `json:"name"`

	// Address of the lead broker.
	// +required
	Address string `json:"address"`

	// Port of the lead broker.
	// +optional
	// +kubebuilder:default=8050
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// Number of hosts in its cluster.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int32 `json:"size"`
}

// BurstedCluster is another cluster that may join.
type BurstedCluster struct {
	// Prefix of its host names. Default: burst-INDEX.
	// +optional
	Name string `json:"name,omitempty"`

	// Number of its hosts. Default: the maximum size of this cluster.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Size int32 `json:"size,omitempty"`
}

// FluxState is the volume of the state directory of the lead broker.
type FluxState struct {
	// Name of a PersistentVolumeClaim in the namespace of the MiniCluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	ClaimName string `json:"claimName"`

	// Directory in the volume.
	// +optional
	SubPath string `json:"subPath,omitempty"`
}
