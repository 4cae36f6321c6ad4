// Package app runs the controller as a process: flags, clients, leader election, health, readiness and metrics, and
// the commands that check and print documents. Add a flag here. Do not add a decision about MiniClusters: those
// belong to the packages that reconcile and build objects.
package app

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	componentconfig "k8s.io/component-base/config"
	leaderoptions "k8s.io/component-base/config/options"

	"minicluster.internal/operator/pkg/cmdutil"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// Options are the settings of the process.
type Options struct {
	// ClientOptions are the settings of the connection to the API server.
	cmdutil.ClientOptions
	// Namespaces are the namespaces to watch; all if empty.
	Namespaces []string
	// Workers is the number of MiniClusters that are synced concurrently.
	Workers int
	// HealthAddress serves /healthz and /readyz; "" serves nothing.
	HealthAddress string
	// MetricsAddress serves /metrics; "" serves nothing.
	MetricsAddress string
	// ClusterDomain is the DNS domain of the Kubernetes cluster.
	ClusterDomain string
	// AgentImage is the image that contains the agent.
	AgentImage string
	// AgentImagePullPolicy says when pods pull it; "" is Kubernetes' own default.
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
	// PodDiagnosisDelay is how long pods may stay unready before the controller inspects
	// them; 0 disables the inspection.
	PodDiagnosisDelay time.Duration
	// AgentUnreachableTimeout is how long to retry an unreachable agent before shrinking without draining; 0 disables
	// draining.
	AgentUnreachableTimeout time.Duration
	// Connect returns clients for agents; nil stands for clients over TLS. It is not a flag.
	Connect agents.Connect
	// LeaderElection lets one of several controllers work at a time.
	LeaderElection componentconfig.LeaderElectionConfiguration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		ClientOptions:           cmdutil.NewClientOptions(),
		Workers:                 10,
		HealthAddress:           ":8081",
		MetricsAddress:          ":8080",
		ClusterDomain:           fluxconfig.DefaultClusterDomain,
		AgentImage:              resources.DefaultAgentImage,
		SecretGroup:             65532,
		PodDiagnosisDelay:       10 * time.Second,
		AgentUnreachableTimeout: drain.DefaultAgentTimeout,
		LeaderElection: componentconfig.LeaderElectionConfiguration{
			LeaderElect:   true,
			LeaseDuration: metav1.Duration{Duration: 15 * time.Second},
			RenewDeadline: metav1.Duration{Duration: 10 * time.Second},
			RetryPeriod:   metav1.Duration{Duration: 2 * time.Second},
			ResourceLock:  "leases",
			ResourceName:  "minicluster-controller",
		},
	}
}

// AddFlags binds the settings to flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.AddClientFlags(fs)
	fs.StringSliceVar(&o.Namespaces, "namespaces", o.Namespaces,
		"Namespaces to watch, with permissions in these only. Unset: all namespaces.")
	fs.IntVar(&o.Workers, "workers", o.Workers, "Number of MiniClusters to sync concurrently.")
	fs.StringVar(&o.HealthAddress, "health-bind-address", o.HealthAddress, `Address of /healthz and /readyz; "" serves none.`)
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress, `Address of /metrics; "" serves none.`)
	fs.DurationVar(&o.PodDiagnosisDelay, "pod-diagnosis-delay", o.PodDiagnosisDelay,
		"How long pods may stay unready before the controller inspects them to report the reason; 0 disables the inspection.")
	fs.DurationVar(&o.AgentUnreachableTimeout, "agent-unreachable-timeout", o.AgentUnreachableTimeout,
		"How long to retry an unreachable agent before a MiniCluster shrinks without draining ranks. 0 disables draining: MiniClusters shrink at once.")
	o.addSiteFlags(fs)
	leaderoptions.BindLeaderElectionFlags(&o.LeaderElection, fs)
}

// addSiteFlags binds the flags that affect pods.
func (o *Options) addSiteFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ClusterDomain, "cluster-domain", o.ClusterDomain, "DNS domain of the Kubernetes cluster.")
	fs.StringVar(&o.AgentImage, "agent-image", o.AgentImage, "Image that contains the agent for the pods of MiniClusters.")
	fs.StringVar(&o.AgentImagePullPolicy, "agent-image-pull-policy", o.AgentImagePullPolicy,
		"Pull policy of that image: Always, IfNotPresent or Never. Unset: the default of Kubernetes.")
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

// environment returns the settings that affect pods.
func (o *Options) environment() resources.Environment {
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
		NoClusterVolumes:        len(o.Namespaces) > 0,
	}
}

// Validate returns the errors of the settings, by flag.
func (o *Options) Validate() error {
	var errs cmdutil.FlagErrors
	add := errs.Add
	o.ValidateClient(&errs)
	for _, problem := range namespaceProblems(o.Namespaces) {
		add("namespaces", "%s", problem)
	}
	if o.Workers < 1 {
		add("workers", "%d: must be at least 1", o.Workers)
	}
	if o.AgentUnreachableTimeout < 0 {
		add("agent-unreachable-timeout", "%s: must not be negative", o.AgentUnreachableTimeout)
	}
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
	if o.AgentImage == "" || strings.TrimSpace(o.AgentImage) != o.AgentImage {
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
	errs.AddAddress("health-bind-address", o.HealthAddress)
	errs.AddAddress("metrics-bind-address", o.MetricsAddress)
	if l := o.LeaderElection; l.LeaderElect {
		if l.LeaseDuration.Duration <= l.RenewDeadline.Duration {
			add("leader-elect-lease-duration", "%s: must be longer than --leader-elect-renew-deadline (%s)", l.LeaseDuration.Duration, l.RenewDeadline.Duration)
		}
		if l.ResourceLock != "leases" {
			add("leader-elect-resource-lock", "%q: only leases are supported", l.ResourceLock)
		}
	}
	return errs.Join()
}

// namespaceProblems returns the errors of a list of namespaces. An empty list, for example from an unset variable,
// must not select all namespaces.
func namespaceProblems(namespaces []string) []string {
	if namespaces != nil && len(namespaces) == 0 {
		return []string{"must name at least one namespace; omit the flag to watch all namespaces"}
	}
	var problems []string
	for i, namespace := range namespaces {
		if slices.Contains(namespaces[:i], namespace) {
			problems = append(problems, fmt.Sprintf("%q: duplicate", namespace))
		}
		for _, problem := range validation.IsDNS1123Label(namespace) {
			problems = append(problems, fmt.Sprintf("%q: must be the name of a namespace: %s", namespace, problem))
		}
	}
	return problems
}
