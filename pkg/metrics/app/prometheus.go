package app

import (
	"context"
	"net/url"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	componentmetrics "k8s.io/component-base/metrics"

	"minicluster.internal/operator/pkg/cmdutil"
	fluxlisters "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/pkg/metrics/promsource"
)

// PrometheusOptions configure queries to Prometheus.
type PrometheusOptions struct {
	// URL of the Prometheus server; "" disables queries.
	URL string
	// BearerTokenFile and CAFile authenticate the client and the server, if set.
	BearerTokenFile, CAFile string
	// CertFile and KeyFile contain a client certificate, if set.
	CertFile, KeyFile string
	// UsernameFile and PasswordFile contain credentials for basic authentication, if set.
	UsernameFile, PasswordFile string
	// HeadersFile contains headers to send, if set.
	HeadersFile string
	// Timeout of a query.
	Timeout time.Duration
	// Queries is the name of the ConfigMap with the queries.
	Queries string
}

func newPrometheusOptions() PrometheusOptions {
	return PrometheusOptions{Timeout: 10 * time.Second, Queries: "minicluster-metrics-queries"}
}

func (o *PrometheusOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.URL, "prometheus-url", o.URL, "URL of a Prometheus server whose query results are served as metrics, such as http://prometheus.monitoring:9090. If unset, there are no queries.")
	fs.StringVar(&o.BearerTokenFile, "prometheus-bearer-token-file", o.BearerTokenFile, "File with the bearer token for Prometheus, reloaded every minute. Requires https.")
	fs.StringVar(&o.CAFile, "prometheus-ca-file", o.CAFile, "File with the certificate authorities of Prometheus. If unset, those of the system are used.")
	fs.StringVar(&o.CertFile, "prometheus-cert-file", o.CertFile, "File with a client certificate for Prometheus, which is reloaded. Requires https.")
	fs.StringVar(&o.KeyFile, "prometheus-key-file", o.KeyFile, "File with the private key of the client certificate.")
	fs.StringVar(&o.UsernameFile, "prometheus-username-file", o.UsernameFile, "File with the user name for basic authentication, reloaded every minute. Requires https.")
	fs.StringVar(&o.PasswordFile, "prometheus-password-file", o.PasswordFile, "File with the password for basic authentication.")
	fs.StringVar(&o.HeadersFile, "prometheus-headers-file", o.HeadersFile, "File with headers for Prometheus, one per line, such as X-Scope-OrgID: team. Reloaded every minute.")
	fs.DurationVar(&o.Timeout, "prometheus-timeout", o.Timeout, "Timeout of a query to Prometheus.")
	fs.StringVar(&o.Queries, "prometheus-queries", o.Queries, "Name of the ConfigMap with the queries, in the namespace of this process.")
}

func (o *PrometheusOptions) validate(errs *cmdutil.FlagErrors) {
	if o.Timeout <= 0 {
		errs.Add("prometheus-timeout", "%s: must be more than 0", o.Timeout)
	} else if _, err := model.ParseDuration(o.Timeout.String()); err != nil {
		errs.Add("prometheus-timeout", "%s: Prometheus accepts whole seconds, or milliseconds below one second, such as 2s or 500ms", o.Timeout)
	}
	if o.Queries == "" {
		errs.Add("prometheus-queries", "must not be empty")
	}
	if o.URL == "" {
		if o.BearerTokenFile+o.CAFile+o.CertFile+o.UsernameFile+o.HeadersFile != "" {
			errs.Add("prometheus-url", "must be set if a file with credentials or certificate authorities for Prometheus is set")
		}
		return
	}
	o.validateCredentials(errs)
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		errs.Add("prometheus-url", "%q: must be http://HOST:PORT or https://HOST:PORT, with an optional path", o.URL)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		errs.Add("prometheus-url", "must contain neither a user nor a query")
	case u.Scheme == "http" && o.BearerTokenFile != "":
		errs.Add("prometheus-bearer-token-file", "requires https: http would send the token unencrypted")
	case u.Scheme == "http" && o.UsernameFile != "":
		errs.Add("prometheus-username-file", "requires https: http would send the password unencrypted")
	case u.Scheme == "http" && o.CertFile != "":
		errs.Add("prometheus-cert-file", "requires https")
	}
}

func (o *PrometheusOptions) validateCredentials(errs *cmdutil.FlagErrors) {
	if (o.CertFile == "") != (o.KeyFile == "") {
		errs.Add("prometheus-cert-file", "requires --prometheus-key-file, and the latter requires it")
	}
	if (o.UsernameFile == "") != (o.PasswordFile == "") {
		errs.Add("prometheus-username-file", "requires --prometheus-password-file, and the latter requires it")
	}
	if o.UsernameFile != "" && o.BearerTokenFile != "" {
		errs.Add("prometheus-username-file", "must not be set together with --prometheus-bearer-token-file")
	}
}

// newQueries returns the source of Prometheus queries.
func (o *Options) newQueries(ctx context.Context, kube kubernetes.Interface, registry componentmetrics.KubeRegistry, miniClusters fluxlisters.MiniClusterLister, free *capacity.Source, others []metrics.Source) (*promsource.Source, error) {
	prometheus, err := promsource.Connect(promsource.Connection{
		URL: o.Prometheus.URL, BearerTokenFile: o.Prometheus.BearerTokenFile, CAFile: o.Prometheus.CAFile,
		CertFile: o.Prometheus.CertFile, KeyFile: o.Prometheus.KeyFile, HeadersFile: o.Prometheus.HeadersFile,
		UsernameFile: o.Prometheus.UsernameFile, PasswordFile: o.Prometheus.PasswordFile,
	})
	if err != nil {
		return nil, err
	}
	return promsource.New(ctx, promsource.Options{
		Kube: kube, Namespace: o.Namespace, ConfigMap: o.Prometheus.Queries, Prometheus: prometheus,
		Timeout: o.Prometheus.Timeout, Interval: o.CollectInterval,
		Pods: free.PodNames, MiniClusters: miniClusters, Synced: free.Synced, Others: others, Registry: registry,
	})
}
