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
		if o.BearerTokenFile+o.CAFile != "" {
			errs.Add("prometheus-url", "must be set if --prometheus-bearer-token-file or --prometheus-ca-file is set")
		}
		return
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		errs.Add("prometheus-url", "%q: must be http://HOST:PORT or https://HOST:PORT, with an optional path", o.URL)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		errs.Add("prometheus-url", "must contain neither a user nor a query")
	case u.Scheme == "http" && o.BearerTokenFile != "":
		errs.Add("prometheus-bearer-token-file", "requires https: http would send the token unencrypted")
	}
}

// newQueries returns the source of Prometheus queries.
func (o *Options) newQueries(ctx context.Context, kube kubernetes.Interface, registry componentmetrics.KubeRegistry, miniClusters fluxlisters.MiniClusterLister, free *capacity.Source, others []metrics.Source) (*promsource.Source, error) {
	prometheus, err := promsource.Connect(promsource.Connection{
		URL: o.Prometheus.URL, BearerTokenFile: o.Prometheus.BearerTokenFile, CAFile: o.Prometheus.CAFile,
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
