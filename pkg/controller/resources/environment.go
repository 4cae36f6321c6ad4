package resources

import (
	corev1 "k8s.io/api/core/v1"
)

// DefaultAgentImage is the image in the manifests and the Makefile.
const DefaultAgentImage = "minicluster:latest"

// Environment is what all MiniClusters of a controller share: the Kubernetes cluster and the flags.
type Environment struct {
	// ClusterDomain is the DNS domain of the Kubernetes cluster.
	ClusterDomain string
	// Agent is the image of the agent.
	Agent AgentImage
	// ImageVolumes mounts the images of the agent and of the view instead of running init
	// containers that copy them, where the server can.
	ImageVolumes bool
	// AllowHostPathVolumes permits directories of the nodes in spec.volumes. The PersistentVolumes for them bypass Pod
	// Security: anyone who may create a MiniCluster may then read and write the files of the nodes.
	AllowHostPathVolumes bool
	// PersistentVolumeDrivers are the CSI drivers for whose volumes spec.volumes may describe PersistentVolumes; "*"
	// stands for all of them. Any user of a driver reaches all volumes that the driver can reach.
	PersistentVolumeDrivers []string
	// VolumeSecretNamespaces are the namespaces whose Secrets spec.volumes may name, in addition to the MiniCluster's
	// own namespace; "*" stands for all.
	VolumeSecretNamespaces []string
	// NoClusterVolumes rejects spec.volumes: a controller with the rights of some namespaces cannot create
	// PersistentVolumes, which have no namespace.
	NoClusterVolumes bool
	// SecretGroup is the group of the files of Secrets in pods whose user is not known to be
	// root, and which name no group; 0 leaves the choice to the platform.
	SecretGroup int64
	// ServerMinor is the minor version of the API server, 29 for Kubernetes 1.29; 0 stands for the newest version.
	ServerMinor int
}

// AgentImage is the image of the agent, and how to pull it.
type AgentImage struct {
	// Image is the reference of the image; DefaultAgentImage if empty. The controller replaces an empty one by its own.
	Image string
	// PullPolicy is the pull policy; Kubernetes' own default if empty.
	PullPolicy corev1.PullPolicy
	// PullSecrets are names of Secrets in the namespace of each MiniCluster for pulling the image.
	PullSecrets []string
}

// First minor versions of Kubernetes that enable these features by default:
const (
	// init containers that run beside the others and end after them,
	minorNativeSidecars = 29
	// a backoff limit per index of a Job,
	minorBackoffLimitPerIndex = 29
	// image volumes,
	minorImageVolumes = 31
	// and resources of a whole pod.
	minorPodResources = 34
)

// mountsImages reports whether the images of the agent and of the view are volumes.
func (s Environment) mountsImages() bool { return s.ImageVolumes && s.AtLeast(minorImageVolumes) }

// AtLeast reports whether the server has a minor version or a newer one.
func (s Environment) AtLeast(minor int) bool { return s.ServerMinor == 0 || s.ServerMinor >= minor }
