package resources

import (
	corev1 "k8s.io/api/core/v1"
)

// DefaultAgentImage is the image that holds the agent, as manifests and the makefile
// name it.
const DefaultAgentImage = "minicluster:latest"

// Environment is what all MiniClusters of a controller have in common: its cluster and its
// flags.
type Environment struct {
	// ClusterDomain is the DNS domain of the Kubernetes cluster.
	ClusterDomain string
	// Agent is where pods get the agent from.
	Agent AgentImage
	// ImageVolumes mounts the images of the agent and of the view instead of running init
	// containers that copy them, where the server can.
	ImageVolumes bool
	// AllowHostPathVolumes lets spec.volumes name directories of the nodes. The
	// PersistentVolumes that are made of them bypass Pod Security: who may make a
	// MiniCluster may then read and write the nodes' files.
	AllowHostPathVolumes bool
	// VolumeSecretNamespaces are the namespaces whose Secrets spec.volumes may name in
	// addition to those of the MiniCluster's own namespace; "*" stands for all.
	VolumeSecretNamespaces []string
	// NoClusterVolumes refuses spec.volumes: a controller whose rights are those of some
	// namespaces can't make PersistentVolumes, which lie in none.
	NoClusterVolumes bool
	// ServerMinor is the minor version of the API server, 29 for Kubernetes 1.29; 0
	// stands for the newest.
	ServerMinor int
}

// AgentImage is where pods get the agent from.
type AgentImage struct {
	// Image holds the agent; DefaultAgentImage where empty.
	Image string
	// PullPolicy says when to pull it; Kubernetes' own default where empty.
	PullPolicy corev1.PullPolicy
	// PullSecrets are names of Secrets, in the namespace of each MiniCluster, to pull it
	// with.
	PullSecrets []string
}

// First minor versions of Kubernetes whose servers have, by default:
const (
	// containers that run beside the others and end after them,
	minorNativeSidecars = 29
	// a limit of failed pods per index of a Job,
	minorBackoffLimitPerIndex = 29
	// volumes that are images,
	minorImageVolumes = 31
	// and requests of a pod as a whole.
	minorPodResources = 34
)

// mountsImages reports whether the images of the agent and of the view are volumes.
func (s Environment) mountsImages() bool { return s.ImageVolumes && s.AtLeast(minorImageVolumes) }

// AtLeast reports whether the server is of a minor version or newer.
func (s Environment) AtLeast(minor int) bool { return s.ServerMinor == 0 || s.ServerMinor >= minor }
