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

// PrometheusOptions are about queries of Prometheus.
type PrometheusOptions struct {
	// URL is where a Prometheus is; "" for no queries.
	URL string
	// BearerTokenFile and CAFile are what to show it and to trust it with, if set.
	BearerTokenFile, CAFile string
	// Timeout is what it has to answer a query.
	Timeout time.Duration
	// Queries is the name of the ConfigMap that has them.
	Queries string
}

func newPrometheusOptions() PrometheusOptions {
	return PrometheusOptions{Timeout: 10 * time.Second, Queries: "minicluster-metrics-queries"}
}

func (o *PrometheusOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.URL, "prometheus-url", o.URL, "Prometheus whose answers to queries are metrics, such as http://prometheus.monitoring:9090. Unset: no queries.")
	fs.StringVar(&o.BearerTokenFile, "prometheus-bearer-token-file", o.BearerTokenFile, "Token to show it; read again each minute.")
	fs.StringVar(&o.CAFile, "prometheus-ca-file", o.CAFile, "Authorities to trust it with; those of the system if unset.")
	fs.DurationVar(&o.Timeout, "prometheus-timeout", o.Timeout, "Time that it has to answer a query.")
	fs.StringVar(&o.Queries, "prometheus-queries", o.Queries, "ConfigMap in the namespace of this program that has the queries.")
}

func (o *PrometheusOptions) validate(errs *cmdutil.FlagErrors) {
	if o.Timeout <= 0 {
		errs.Add("prometheus-timeout", "%s: must be more than 0", o.Timeout)
	} else if _, err := model.ParseDuration(o.Timeout.String()); err != nil {
		errs.Add("prometheus-timeout", "%s: Prometheus takes whole seconds, or milliseconds of less than one, such as 2s or 500ms", o.Timeout)
	}
	if o.Queries == "" {
		errs.Add("prometheus-queries", "must not be empty")
	}
	if o.URL == "" {
		if o.BearerTokenFile+o.CAFile != "" {
			errs.Add("prometheus-url", "must be set where --prometheus-bearer-token-file or --prometheus-ca-file is")
		}
		return
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		errs.Add("prometheus-url", "%q: must be http://HOST:PORT or https://HOST:PORT, with a path where it has one", o.URL)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		errs.Add("prometheus-url", "must have neither a user nor a query")
	case u.Scheme == "http" && o.BearerTokenFile != "":
		errs.Add("prometheus-bearer-token-file", "goes with https only: anybody on the way could read the token")
	}
}

// newQueries makes the source of queries.
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
		Pods: free.Pods, MiniClusters: miniClusters, Synced: free.Synced, Others: others, Registry: registry,
	})
}
