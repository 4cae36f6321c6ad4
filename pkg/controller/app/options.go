// Package app runs the controller as a process: flags, clients, leader election, health, readiness and metrics. Add a
// flag here, or in package site if it affects pods. Do not add a decision about MiniClusters: those belong to the
// packages that reconcile and build objects.
package app

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	componentconfig "k8s.io/component-base/config"
	leaderoptions "k8s.io/component-base/config/options"

	"minicluster.internal/operator/pkg/cmdutil"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/site"
)

// Options are the settings of the process.
type Options struct {
	// ClientOptions are the settings of the connection to the API server.
	cmdutil.ClientOptions
	// Site are the settings that affect pods.
	Site site.Options
	// Namespaces are the namespaces to watch; all if empty.
	Namespaces []string
	// Workers is the number of MiniClusters that are synced concurrently.
	Workers int
	// HealthAddress serves /healthz and /readyz; "" serves nothing.
	HealthAddress string
	// MetricsAddress serves /metrics; "" serves nothing.
	MetricsAddress string
	// PodDiagnosisDelay is how long pods may stay unready before the controller inspects
	// them; 0 disables the inspection.
	PodDiagnosisDelay time.Duration
	// AgentUnreachableTimeout is how long to retry an unreachable agent before shrinking without draining; 0 disables
	// draining.
	AgentUnreachableTimeout time.Duration
	// IdleEvictionDelay is how long a rank must be idle before its pod may be evicted, if its MiniCluster allows that.
	IdleEvictionDelay time.Duration
	// Pod is the pod that this process runs in, if any. It is not a flag.
	Pod types.NamespacedName
	// WatchNodes drains the ranks of nodes that go away.
	WatchNodes bool
	// NodeDeletionTaints are the keys of taints that announce the deletion of a node.
	NodeDeletionTaints []string
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
		Site:                    site.NewOptions(),
		PodDiagnosisDelay:       10 * time.Second,
		AgentUnreachableTimeout: drain.DefaultAgentTimeout,
		NodeDeletionTaints:      drain.DefaultDeletionTaints(),
		IdleEvictionDelay:       5 * time.Minute,
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
	fs.BoolVar(&o.WatchNodes, "watch-nodes", o.WatchNodes,
		"Watch nodes, and drain the ranks of those that are cordoned or will be deleted. Requires the permissions of manifests/nodes.")
	fs.StringSliceVar(&o.NodeDeletionTaints, "node-deletion-taints", o.NodeDeletionTaints,
		"Keys of taints that announce the deletion of a node, with --watch-nodes: pods there are evicted once their ranks are idle.")
	fs.DurationVar(&o.IdleEvictionDelay, "idle-eviction-delay", o.IdleEvictionDelay,
		"How long a rank must be idle before its pod may be evicted, with --watch-nodes and spec.disruption.whenIdle.")
	o.Site.AddFlags(fs)
	leaderoptions.BindLeaderElectionFlags(&o.LeaderElection, fs)
}

// environment returns the settings for the builders of objects.
func (o *Options) environment() resources.Environment {
	environment := o.Site.Environment()
	environment.NoClusterVolumes = len(o.Namespaces) > 0
	return environment
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
	if o.IdleEvictionDelay < 0 {
		add("idle-eviction-delay", "%s: must not be negative", o.IdleEvictionDelay)
	}
	for _, key := range o.NodeDeletionTaints {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			add("node-deletion-taints", "%q: must be the key of a taint: %s", key, problems[0])
		}
	}
	o.Site.Validate(&errs)
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
