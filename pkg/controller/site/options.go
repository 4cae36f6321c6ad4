// Package site has the settings of a site that affect pods, for every program that builds the objects of MiniClusters
// or checks documents. Add a flag here if it changes what a MiniCluster becomes; flags of the controller's process
// belong to its app package.
package site

import (
	"math"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"minicluster.internal/operator/pkg/cmdutil"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// Options are the settings of a site that affect pods.
type Options struct {
	// ClusterDomain is the DNS domain of the Kubernetes cluster.
	ClusterDomain string
	// AgentImage is the image that contains the agent. "" is the image of the controller in its own pod.
	AgentImage string
	// AgentImagePullPolicy says when pods pull it. "" is the policy of the controller in its own pod, if AgentImage is
	// "", or Kubernetes' own default.
	AgentImagePullPolicy string
	// AgentImagePullSecrets are names of Secrets in the namespace of each MiniCluster for pulling the image.
	AgentImagePullSecrets []string
	// ImageVolumes mounts the images of the agent and of views instead of running init containers that copy them.
	ImageVolumes bool
	// AllowHostPathVolumes permits directories of the nodes in spec.volumes.
	AllowHostPathVolumes bool
	// PersistentVolumes are the CSI drivers for whose volumes spec.volumes may describe
	// PersistentVolumes.
	PersistentVolumes []string
	// VolumeSecretNamespaces are namespaces whose Secrets spec.volumes may name.
	VolumeSecretNamespaces []string
	// SecretGroup is the group of the files of Secrets in pods; 0 lets the platform choose.
	SecretGroup int64
}

// NewOptions returns the defaults.
func NewOptions() Options {
	return Options{ClusterDomain: fluxconfig.DefaultClusterDomain, SecretGroup: 65532}
}

// AddFlags binds the settings to flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ClusterDomain, "cluster-domain", o.ClusterDomain, "DNS domain of the Kubernetes cluster.")
	fs.StringVar(&o.AgentImage, "agent-image", o.AgentImage,
		"Image that contains the agent for the pods of MiniClusters. Unset: the image of the controller's own container, or "+resources.DefaultAgentImage+" outside a pod.")
	fs.StringVar(&o.AgentImagePullPolicy, "agent-image-pull-policy", o.AgentImagePullPolicy,
		"Pull policy of that image: Always, IfNotPresent or Never. Unset: that of the controller's own container, or the default of Kubernetes if --agent-image is set.")
	fs.StringSliceVar(&o.AgentImagePullSecrets, "agent-image-pull-secrets", o.AgentImagePullSecrets,
		"Names of the Secrets for pulling that image. They must exist in the namespace of each MiniCluster.")
	fs.BoolVar(&o.ImageVolumes, "image-volumes", o.ImageVolumes,
		"Mount the image of the agent, and the image with Flux in the view layout, instead of running init containers that copy them. "+
			"Requires image volumes in the API server and in the container runtime of all nodes.")
	fs.Int64Var(&o.SecretGroup, "secret-group", o.SecretGroup,
		"Group (fsGroup) that can read the files of Secrets in pods whose user is not known to be root and that name no group. 0: the platform assigns one, as OpenShift does.")
	fs.BoolVar(&o.AllowHostPathVolumes, "allow-hostpath-volumes", o.AllowHostPathVolumes,
		"Create PersistentVolumes for directories of the nodes (spec.volumes with the storage class hostpath). They bypass Pod Security.")
	fs.StringSliceVar(&o.PersistentVolumes, "persistent-volumes", o.PersistentVolumes,
		"CSI drivers for which the controller creates the PersistentVolumes of spec.volumes; * permits all. Unset: none. Every user who may create a MiniCluster reaches all volumes that these drivers can reach.")
	fs.StringSliceVar(&o.VolumeSecretNamespaces, "volume-secret-namespaces", o.VolumeSecretNamespaces,
		"Namespaces whose Secrets CSI volumes of spec.volumes may use, in addition to the namespace of the MiniCluster; * permits all.")
}

// Environment returns the settings for the builders of objects.
func (o *Options) Environment() resources.Environment {
	return resources.Environment{
		ClusterDomain: o.ClusterDomain,
		Agent: resources.AgentImage{
			Image:       o.AgentImage,
			PullPolicy:  corev1.PullPolicy(o.AgentImagePullPolicy),
			PullSecrets: o.AgentImagePullSecrets,
		},
		ImageVolumes: o.ImageVolumes,

		AllowHostPathVolumes:    o.AllowHostPathVolumes,
		PersistentVolumeDrivers: o.PersistentVolumes,
		VolumeSecretNamespaces:  o.VolumeSecretNamespaces,
		SecretGroup:             o.SecretGroup,
	}
}

// Validate adds the errors of the settings, by flag.
func (o *Options) Validate(errs *cmdutil.FlagErrors) {
	add := errs.Add
	for _, driver := range o.PersistentVolumes {
		if problems := validation.IsDNS1123Subdomain(strings.ToLower(driver)); driver != "*" && len(problems) > 0 {
			add("persistent-volumes", "%q: must be the name of a CSI driver, or *: %s", driver, problems[0])
		}
	}
	if o.SecretGroup < 0 || o.SecretGroup > math.MaxInt32 {
		add("secret-group", "%d: must be from 0 to %d", o.SecretGroup, math.MaxInt32)
	}
	if o.ClusterDomain == "" {
		add("cluster-domain", "must not be empty; the usual domain is cluster.local")
	}
	if strings.TrimSpace(o.AgentImage) != o.AgentImage {
		add("agent-image", "%q: must be the name of an image", o.AgentImage)
	}
	switch corev1.PullPolicy(o.AgentImagePullPolicy) {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		add("agent-image-pull-policy", "%q: must be Always, IfNotPresent or Never", o.AgentImagePullPolicy)
	}
	for _, name := range o.AgentImagePullSecrets {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			add("agent-image-pull-secrets", "%q: %s", name, problems[0])
		}
	}
}
