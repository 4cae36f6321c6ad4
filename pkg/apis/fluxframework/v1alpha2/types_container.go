package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
)

// MiniClusterContainer is a container of the pods of the cluster, or of the
// services pod.
type MiniClusterContainer struct {
	// Image of the container. Default: ghcr.io/rse-ops/accounting:app-latest.
	// +optional
	Image string `json:"image,omitempty"`

	// Name of the container. Required for all containers but the one that runs
	// Flux, which has the name of the MiniCluster.
	// +optional
	Name string `json:"name,omitempty"`

	// Run Flux in this container. May be omitted if it is the only one.
	// +optional
	RunFlux bool `json:"runFlux,omitempty"`

	// In the container that runs Flux: the program that the lead broker submits
	// as a job (see also launcher and batch). In a sidecar: its process.
	// +optional
	Command string `json:"command,omitempty"`

	// Run the command as the initial program of the lead broker, without flux
	// submit. It launches its own jobs.
	// +optional
	Launcher bool `json:"launcher,omitempty"`

	// Submit each line of command as a job, in one batch script.
	// +optional
	Batch bool `json:"batch,omitempty"`

	// With batch: use command as the batch script, unchanged.
	// +optional
	BatchRaw bool `json:"batchRaw,omitempty"`

	// With batch: directory of the output and error files of the jobs. Default:
	// /tmp/fluxout.
	// +optional
	Logs string `json:"logs,omitempty"`

	// Working directory.
	// +optional
	WorkingDir string `json:"workingDir,omitempty"`

	// Always pull the image. Overrides imagePullPolicy.
	// +optional
	PullAlways bool `json:"pullAlways,omitempty"`

	// When to pull the image. Default: IfNotPresent.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never;""
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// Name of a Secret to pull the image with.
	// +optional
	ImagePullSecret string `json:"imagePullSecret,omitempty"`

	// Commands to run before and after Flux.
	// +optional
	Commands *Commands `json:"commands,omitempty"`

	// Environment variables, by name.
	// +optional
	Environment map[string]string `json:"environment,omitempty"`

	// Environment variables with values from Secrets, by name of the variable.
	// +optional
	Secrets map[string]SecretKey `json:"secrets,omitempty"`

	// TCP ports of the container. A sidecar with ports gets a Service of its
	// name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`

	// Resource requests and limits. Claims name entries of
	// spec.pod.resourceClaims.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// Number of cores of each pod that Flux schedules. Default: derived from the
	// limits.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Cores int32 `json:"cores,omitempty"`

	// Hooks of the life cycle of the container.
	// +optional
	LifeCycle *LifeCycle `json:"lifeCycle,omitempty"`

	// Volumes to mount, by name: a volume of spec.volumes, or one that is
	// described here or in another container of the pod. A volume with a path
	// and nothing else is an empty directory in the view layout.
	// +optional
	Volumes map[string]ContainerVolume `json:"volumes,omitempty"`

	// Existing PersistentVolumeClaims, Secrets and ConfigMaps to mount, by name.
	// +optional
	ExistingVolumes map[string]ExistingVolume `json:"existingVolumes,omitempty"`

	// Security settings of the container.
	// +optional
	SecurityContext *SecurityContext `json:"securityContext,omitempty"`

	// Owner of the Flux instance in the system layout. The agent creates the
	// user if the image has none of that name.
	// +optional
	FluxUser *FluxUser `json:"fluxUser,omitempty"`

	// Run the entrypoint of the image instead of command, in a sidecar.
	// +optional
	NoWrapEntrypoint bool `json:"noWrapEntrypoint,omitempty"`

	// Print information about the brokers instead of running command, and wait.
	// +optional
	Diagnostics bool `json:"diagnostics,omitempty"`

	// Shell commands to run before Flux, in every pod; the name of commands.pre
	// in v1alpha1.
	// +optional
	PreCommand string `json:"preCommand,omitempty"`
}

// Commands are shell commands that run before and after Flux. Each runs in a separate shell.
type Commands struct {
	// Runs first, in every pod.
	// +optional
	Init string `json:"init,omitempty"`

	// Runs before Flux, in every pod.
	// +optional
	Pre string `json:"pre,omitempty"`

	// Runs before Flux, in the pod of the lead broker.
	// +optional
	BrokerPre string `json:"brokerPre,omitempty"`

	// Runs before Flux, in the pods of follower brokers.
	// +optional
	WorkerPre string `json:"workerPre,omitempty"`

	// Runs in a sidecar, before it waits for Flux.
	// +optional
	ServicePre string `json:"servicePre,omitempty"`

	// Runs in every pod, after Flux.
	// +optional
	Post string `json:"post,omitempty"`

	// Words that precede the initial program on its command line.
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// Script to run instead of command.
	// +optional
	Script string `json:"script,omitempty"`

	// Run Flux as root instead of as the Flux user (system layout).
	// +optional
	RunFluxAsRoot bool `json:"runFluxAsRoot,omitempty"`
}

// SecretKey is a key of a Secret.
type SecretKey struct {
	// Name of the Secret.
	// +required
	Name string `json:"name"`

	// Key in the Secret.
	// +required
	Key string `json:"key"`
}

// LifeCycle holds hooks of the life cycle of a container. A shell runs each.
type LifeCycle struct {
	// Runs after the container has started.
	// +optional
	PostStartExec string `json:"postStartExec,omitempty"`

	// Runs before the container is stopped.
	// +optional
	PreStopExec string `json:"preStopExec,omitempty"`
}

// FluxUser is the owner of the Flux instance.
type FluxUser struct {
	// Name of the user. Default: flux.
	// +optional
	Name string `json:"name,omitempty"`

	// User ID, used when the user is created. Default: 1000.
	// +optional
	UID *int64 `json:"uid,omitempty"`
}

// SecurityContext is the security context of Kubernetes, extended by
// addCapabilities of v1alpha1.
type SecurityContext struct {
	corev1.SecurityContext `json:",inline"`

	// Capabilities to add, as capabilities.add.
	// +optional
	// +listType=atomic
	AddCapabilities []corev1.Capability `json:"addCapabilities,omitempty"`
}
