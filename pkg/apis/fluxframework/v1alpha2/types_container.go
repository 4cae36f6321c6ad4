package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
)

// MiniClusterContainer is a container of the cluster's pods, or of the services
// pod.
type MiniClusterContainer struct {
	// Image of the container.
	// +optional
	// +kubebuilder:default="ghcr.io/rse-ops/accounting:app-latest"
	Image string `json:"image,omitempty"`

	// Name of the container; required for all but the one that runs Flux,
	// which always has the name of the MiniCluster.
	// +optional
	Name string `json:"name,omitempty"`

	// This container runs Flux. May be left out when there is only one.
	// +optional
	RunFlux bool `json:"runFlux,omitempty"`

	// What to run. In the Flux container: the program of the lead broker,
	// submitted as a job (or see launcher, batch). In a sidecar: its process.
	// +optional
	Command string `json:"command,omitempty"`

	// Run the command itself as the initial program, without flux submit; it
	// launches its own jobs.
	// +optional
	Launcher bool `json:"launcher,omitempty"`

	// The lines of command become jobs of one batch script.
	// +optional
	Batch bool `json:"batch,omitempty"`

	// With batch: the lines are the batch script, as they are.
	// +optional
	BatchRaw bool `json:"batchRaw,omitempty"`

	// Directory of the output and error files of batch jobs (/tmp/fluxout where
	// unset).
	// +optional
	Logs string `json:"logs,omitempty"`

	// Working directory.
	// +optional
	WorkingDir string `json:"workingDir,omitempty"`

	// Always pull the image.
	// +optional
	// +kubebuilder:default=false
	PullAlways bool `json:"pullAlways,omitempty"`

	// When to pull the image; pullAlways overrides it.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never;""
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// Name of a Secret to pull the image with.
	// +optional
	ImagePullSecret string `json:"imagePullSecret,omitempty"`

	// Commands to run before and after Flux.
	// +optional
	Commands *Commands `json:"commands,omitempty"`

	// Environment, by name.
	// +optional
	Environment map[string]string `json:"environment,omitempty"`

	// Environment taken from Secrets, by name of the variable.
	// +optional
	Secrets map[string]SecretKey `json:"secrets,omitempty"`

	// TCP ports of the container. Those of a sidecar get a Service of the
	// sidecar's name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`

	// Resource requests and limits.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// Cores that Flux counts on in each pod; derived from the limits where
	// unset.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Cores int32 `json:"cores,omitempty"`

	// Hooks of the container's life cycle.
	// +optional
	LifeCycle *LifeCycle `json:"lifeCycle,omitempty"`

	// Volumes to mount, by name: one of spec.volumes, or an existing one that
	// is described here or in another container. In the view layout, a name that
	// nothing describes is that of a PersistentVolumeClaim.
	// +optional
	Volumes map[string]ContainerVolume `json:"volumes,omitempty"`

	// Existing claims, Secrets and ConfigMaps to mount, by name.
	// +optional
	ExistingVolumes map[string]ExistingVolume `json:"existingVolumes,omitempty"`

	// Security settings of the container.
	// +optional
	SecurityContext *SecurityContext `json:"securityContext,omitempty"`

	// User who owns the Flux instance (system layout); created when the image
	// lacks it.
	// +optional
	FluxUser *FluxUser `json:"fluxUser,omitempty"`

	// Leave the sidecar its image's own entrypoint.
	// +optional
	NoWrapEntrypoint bool `json:"noWrapEntrypoint,omitempty"`

	// Print what the brokers know of themselves and wait.
	// +optional
	Diagnostics bool `json:"diagnostics,omitempty"`

	// Shell commands to run first; the older name of commands.pre.
	// +optional
	PreCommand string `json:"preCommand,omitempty"`
}

// Commands are shell commands around the start of Flux. Each runs in a shell of
// its own.
type Commands struct {
	// Runs first, in every pod.
	// +optional
	Init string `json:"init,omitempty"`

	// Runs before Flux, in every pod.
	// +optional
	Pre string `json:"pre,omitempty"`

	// Runs before Flux, in the lead broker's pod only.
	// +optional
	BrokerPre string `json:"brokerPre,omitempty"`

	// Runs before Flux, in the followers' pods only.
	// +optional
	WorkerPre string `json:"workerPre,omitempty"`

	// Runs in a sidecar before it waits for Flux.
	// +optional
	ServicePre string `json:"servicePre,omitempty"`

	// Runs in every pod after Flux has ended.
	// +optional
	Post string `json:"post,omitempty"`

	// Words put in front of the initial program.
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// A script that takes the place of command.
	// +optional
	Script string `json:"script,omitempty"`

	// Run Flux as root instead of as the Flux user (system layout).
	// +optional
	// +kubebuilder:default=false
	RunFluxAsRoot bool `json:"runFluxAsRoot,omitempty"`
}

// SecretKey names a key of a Secret.
type SecretKey struct {
	// Name of the Secret.
	// +required
	Name string `json:"name"`

	// Key in the Secret.
	// +required
	Key string `json:"key"`
}

// LifeCycle holds hooks of a container's life cycle, each run by a shell.
type LifeCycle struct {
	// Runs right after the container has started.
	// +optional
	PostStartExec string `json:"postStartExec,omitempty"`

	// Runs before the container is stopped.
	// +optional
	PreStopExec string `json:"preStopExec,omitempty"`
}

// FluxUser is the owner of the Flux instance.
type FluxUser struct {
	// Name of the user.
	// +optional
	// +kubebuilder:default=flux
	Name string `json:"name,omitempty"`

	// Numeric id, used when the user has to be created.
	// +optional
	// +kubebuilder:default=1000
	UID *int64 `json:"uid,omitempty"`
}

// SecurityContext is Kubernetes' own, and the addCapabilities of v1alpha1.
type SecurityContext struct {
	corev1.SecurityContext `json:",inline"`

	// Capabilities to add; the older form of capabilities.add.
	// +optional
	// +listType=atomic
	AddCapabilities []corev1.Capability `json:"addCapabilities,omitempty"`
}
