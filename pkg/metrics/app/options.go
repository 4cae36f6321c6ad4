// Package app builds and runs the minicluster-metrics process: flags, clients, metric sources, TLS,
// delegated authentication and authorization, health checks and its own metrics.
//
// It is the only package below pkg/metrics that knows all the others. No other package may import it.
package app

import (
	"net"
	"slices"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/cmdutil"
)

// Names of the APIs that can be served.
const (
	apiCustom   = "custom"
	apiExternal = "external"
)

// Options are the settings of the process.
type Options struct {
	// ClientOptions configure the connection to the API server of Kubernetes.
	cmdutil.ClientOptions
	// APIs to serve and register: custom, external.
	APIs []string
	// BindAddress and SecurePort are the listen address of the API.
	BindAddress string
	SecurePort  int
	// MetricsAddress is the listen address of /metrics; "" disables it.
	MetricsAddress string
	// Namespace, ServiceName and ServicePort identify the Service of this process.
	Namespace   string
	ServiceName string
	ServicePort int32
	// SecretName is the Secret with the generated serving certificate, which all replicas share.
	SecretName string
	// CertFile, KeyFile and CAFile, if set, are used instead of a generated certificate.
	CertFile, KeyFile, CAFile string
	// APIServiceOwner is the ClusterRole that owns the APIServices.
	APIServiceOwner string
	// CollectInterval, CollectTimeout, CollectConcurrency and MaxAge configure how metrics are
	// collected from agents.
	CollectInterval    time.Duration
	CollectTimeout     time.Duration
	CollectConcurrency int
	MaxAge             time.Duration
	// CapacityReserve applies to MiniClusters that set no reserve.
	CapacityReserve string
	// CapacityNodePools are node pools with separate metrics: NAME=SELECTOR.
	CapacityNodePools []string
	// Page enables the web page.
	Page bool
	// Prometheus configures queries to Prometheus.
	Prometheus PrometheusOptions

	// Address returns the address of the agent of a lead pod; nil selects the default.
	Address func(*corev1.Pod) (string, error)
	// RegistrationInterval is the interval at which the APIServices are checked; 0 selects the default.
	RegistrationInterval time.Duration
	// Listener, if set, is used instead of BindAddress and SecurePort.
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

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.AddClientFlags(fs)
	fs.StringSliceVar(&o.APIs, "apis", o.APIs, "APIs to serve and register: custom (custom.metrics.k8s.io), external (external.metrics.k8s.io).")
	fs.StringVar(&o.BindAddress, "bind-address", o.BindAddress, "IP address on which to serve the API.")
	fs.IntVar(&o.SecurePort, "secure-port", o.SecurePort, "Port on which to serve the API over HTTPS.")
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress, `Address on which to serve /metrics without authentication. "" disables it; the secure port serves /metrics in any case, to authorized users.`)
	fs.StringVar(&o.Namespace, "namespace", o.Namespace, "Namespace of the Service, the Secret and the ConfigMap of this process.")
	fs.StringVar(&o.ServiceName, "service-name", o.ServiceName, "Service of this process, to which the APIServices refer.")
	fs.Int32Var(&o.ServicePort, "service-port", o.ServicePort, "Port of the Service.")
	fs.StringVar(&o.SecretName, "serving-secret", o.SecretName, "Secret that stores the generated serving certificate, which all replicas share.")
	fs.StringVar(&o.CertFile, "tls-cert-file", o.CertFile, "File with a serving certificate, which is used instead of a generated one and reloaded every minute.")
	fs.StringVar(&o.KeyFile, "tls-private-key-file", o.KeyFile, "File with the private key of the serving certificate.")
	fs.StringVar(&o.CAFile, "tls-ca-file", o.CAFile, "File with the certificate authorities of the serving certificate.")
	fs.StringVar(&o.APIServiceOwner, "apiservice-owner", o.APIServiceOwner, `ClusterRole that owns the APIServices, which are deleted with it. "" sets no owner.`)
	fs.DurationVar(&o.CollectInterval, "collect-interval", o.CollectInterval, "Interval at which agents are queried and capacity is computed, and for which a result of Prometheus is reused.")
	fs.DurationVar(&o.CollectTimeout, "collect-timeout", o.CollectTimeout, "Timeout of a request to an agent.")
	fs.IntVar(&o.CollectConcurrency, "collect-concurrency", o.CollectConcurrency, "Maximum number of agents that are queried at the same time.")
	fs.DurationVar(&o.MaxAge, "metric-max-age", o.MaxAge, "Maximum age of a metric of Flux. Older ones are not served.")
	o.addCapacityFlags(fs)
	o.addPageFlags(fs)
	o.Prometheus.addFlags(fs)
}

// Validate returns an error that lists every invalid flag.
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
		add("tls-cert-file", "requires --tls-private-key-file and --tls-ca-file, and they require it")
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
