// Package app is the process around the metrics API server: flags, clients, sources,
// TLS, delegated authentication and authorization, health and metrics.
package app

import (
	"net"
	"slices"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/cmdutil"
)

// The APIs that can be served.
const (
	apiCustom   = "custom"
	apiExternal = "external"
)

// Options are the settings of the process.
type Options struct {
	// ClientOptions are about the API server.
	cmdutil.ClientOptions
	// APIs are those to serve and to register: custom, external.
	APIs []string
	// BindAddress and SecurePort are where the API is served.
	BindAddress string
	SecurePort  int
	// MetricsAddress serves /metrics; "" serves nothing.
	MetricsAddress string
	// Namespace, ServiceName and ServicePort are the Service that leads here.
	Namespace   string
	ServiceName string
	ServicePort int32
	// SecretName is the Secret in which replicas share a certificate that they make.
	SecretName string
	// CertFile, KeyFile and CAFile are used instead, if set.
	CertFile, KeyFile, CAFile string
	// APIServiceOwner is the ClusterRole with which the APIServices go.
	APIServiceOwner string
	// CollectInterval, CollectTimeout, CollectConcurrency and MaxAge say how agents
	// are asked.
	CollectInterval    time.Duration
	CollectTimeout     time.Duration
	CollectConcurrency int
	MaxAge             time.Duration
	// CapacityReserve is what MiniClusters leave free that have no annotation about it.
	CapacityReserve string
	// CapacityNodePools are nodes with metrics of their own: NAME=SELECTOR.
	CapacityNodePools []string
	// Page serves the page of what is measured.
	Page bool
	// Prometheus is about queries.
	Prometheus PrometheusOptions

	// Address is where the agent of a lead pod is; nil for its own address.
	Address func(*corev1.Pod) (string, error)
	// Listener is served on, instead of BindAddress and SecurePort, if set.
	Listener net.Listener
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		ClientOptions: cmdutil.NewClientOptions(),
		APIs:          []string{apiCustom, apiExternal},
		BindAddress:   "0.0.0.0", SecurePort: 6443, MetricsAddress: ":8080",
		Namespace: "minicluster-system", ServiceName: "minicluster-metrics", ServicePort: 443,
		SecretName: "minicluster-metrics-serving", APIServiceOwner: "minicluster-metrics",
		CollectInterval: 5 * time.Second, CollectTimeout: 3 * time.Second, CollectConcurrency: 50, MaxAge: 30 * time.Second,
		Page:       true,
		Prometheus: newPrometheusOptions(),
	}
}

// AddFlags binds the settings to flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.AddClientFlags(fs)
	fs.StringSliceVar(&o.APIs, "apis", o.APIs, "APIs to serve and register: custom (custom.metrics.k8s.io), external (external.metrics.k8s.io).")
	fs.StringVar(&o.BindAddress, "bind-address", o.BindAddress, "IP address of the API.")
	fs.IntVar(&o.SecurePort, "secure-port", o.SecurePort, "Port of the API, HTTPS.")
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress, `Address of /metrics; "" serves none.`)
	fs.StringVar(&o.Namespace, "namespace", o.Namespace, "Namespace of this program: of its Service and its Secret.")
	fs.StringVar(&o.ServiceName, "service-name", o.ServiceName, "Service that leads to the API.")
	fs.Int32Var(&o.ServicePort, "service-port", o.ServicePort, "Port of that Service.")
	fs.StringVar(&o.SecretName, "serving-secret", o.SecretName, "Secret in which replicas share the serving certificate that they make.")
	fs.StringVar(&o.CertFile, "tls-cert-file", o.CertFile, "Serving certificate to use instead; read again each minute.")
	fs.StringVar(&o.KeyFile, "tls-private-key-file", o.KeyFile, "Its key.")
	fs.StringVar(&o.CAFile, "tls-ca-file", o.CAFile, "What clients are to trust with it.")
	fs.StringVar(&o.APIServiceOwner, "apiservice-owner", o.APIServiceOwner, `ClusterRole that owns the APIServices: they are deleted with it. "" for none.`)
	fs.DurationVar(&o.CollectInterval, "collect-interval", o.CollectInterval, "Time from one round, in which every agent is asked, to the next, and for which an answer of Prometheus is used.")
	fs.DurationVar(&o.CollectTimeout, "collect-timeout", o.CollectTimeout, "Time that an agent has to answer.")
	fs.IntVar(&o.CollectConcurrency, "collect-concurrency", o.CollectConcurrency, "Agents that are asked at the same time.")
	fs.DurationVar(&o.MaxAge, "metric-max-age", o.MaxAge, "Age from which on numbers are not given out.")
	o.addCapacityFlags(fs)
	o.addPageFlags(fs)
	o.Prometheus.addFlags(fs)
}

// Validate returns all that is wrong with the settings, by flag.
func (o *Options) Validate() error {
	var errs cmdutil.FlagErrors
	add := errs.Add
	o.ValidateClient(&errs)
	if len(o.APIs) == 0 {
		add("apis", "must not be empty")
	}
	for _, api := range o.APIs {
		if api != apiCustom && api != apiExternal {
			add("apis", "%q: must be %s or %s", api, apiCustom, apiExternal)
		}
	}
	if net.ParseIP(o.BindAddress) == nil {
		add("bind-address", "%q: must be an IP address", o.BindAddress)
	}
	if o.SecurePort < 1 || o.SecurePort > 65535 {
		add("secure-port", "%d: must be a port", o.SecurePort)
	}
	if o.ServicePort < 1 || o.ServicePort > 65535 {
		add("service-port", "%d: must be a port", o.ServicePort)
	}
	errs.AddAddress("metrics-bind-address", o.MetricsAddress)
	files := []string{o.CertFile, o.KeyFile, o.CAFile}
	if slices.Contains(files, "") && o.CertFile+o.KeyFile+o.CAFile != "" {
		add("tls-cert-file", "goes with --tls-private-key-file and --tls-ca-file")
	}
	for flag, d := range map[string]time.Duration{"collect-interval": o.CollectInterval, "collect-timeout": o.CollectTimeout, "metric-max-age": o.MaxAge} {
		if d <= 0 {
			add(flag, "%s: must be more than 0", d)
		}
	}
	if o.MaxAge < 2*o.CollectInterval {
		add("metric-max-age", "%s: must be at least twice --collect-interval (%s)", o.MaxAge, o.CollectInterval)
	}
	if o.CollectConcurrency < 1 {
		add("collect-concurrency", "%d: must be at least 1", o.CollectConcurrency)
	}
	if _, err := o.capacity(); err != nil {
		errs.AddError(err)
	}
	o.Prometheus.validate(&errs)
	return errs.Join()
}

func (o *Options) serves(api string) bool { return slices.Contains(o.APIs, api) }
