package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	componentmetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/cmdutil"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions"
	"minicluster.internal/operator/pkg/metrics"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/pkg/metrics/fluxsource"
	"minicluster.internal/operator/pkg/metrics/page"
	"minicluster.internal/operator/pkg/metrics/recommended"
	"minicluster.internal/operator/pkg/metrics/serving"

	_ "k8s.io/component-base/metrics/prometheus/restclient" // requests to the API server
	_ "k8s.io/component-base/metrics/prometheus/version"    // build information
)

// Run runs the process until the context ends or a permanent error occurs, for example because all
// APIServices belong to other servers.
func Run(ctx context.Context, o *Options) error {
	config, err := o.ClientConfig("minicluster-metrics")
	if err != nil {
		return err
	}
	config = cmdutil.WithRestoreDetection(ctx, cmdutil.WithConnectRetry(ctx, config))
	kube, err := kubernetes.NewForConfig(cmdutil.UseProtobuf(config))
	if err != nil {
		return fmt.Errorf("creating the Kubernetes client: %w", err)
	}
	registry := componentmetrics.NewKubeRegistry()
	nodes := &nodeAccess{}
	sources, recorder, start, err := newSources(ctx, o, config, kube, nodes, registry)
	if err != nil {
		return err
	}
	keeper, err := newKeeper(o, config, kube, registry)
	if err != nil {
		return err
	}
	if err := keeper.Prepare(ctx); err != nil {
		return err
	}
	server, err := newServer(o, config, keeper, metrics.NewProvider(sources...), synced(sources), recorder, metricsHandler(registry))
	if err != nil {
		return err
	}

	nodes.authorizer = server.GenericAPIServer.Authorizer

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return cmdutil.Serve(ctx, "metrics", o.MetricsAddress, metricsHandler(registry)) })
	group.Go(func() error { return keeper.Run(ctx) })
	group.Go(func() error {
		start(ctx)
		return nil
	})
	if recorder != nil {
		group.Go(func() error { return recorder.Run(ctx) })
	}
	for _, s := range sources {
		if r, ok := s.(metrics.Runner); ok {
			group.Go(func() error { return r.Run(ctx) })
		}
	}
	group.Go(func() error {
		if err := server.GenericAPIServer.PrepareRun().RunWithContext(ctx); err != nil {
			return fmt.Errorf("serving the API: %w", err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Stopped")
	return nil
}

// newSources returns all sources of metrics, the recorder of the page (nil without a page), and a function that runs
// their shared informers until its context ends.
func newSources(ctx context.Context, o *Options, config *rest.Config, kube kubernetes.Interface, nodes *nodeAccess, registry componentmetrics.KubeRegistry) ([]metrics.Source, *page.Recorder, func(context.Context), error) {
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("creating the MiniCluster client: %w", err)
	}
	informers := fluxinformers.NewSharedInformerFactoryWithOptions(client, 0, fluxinformers.WithTransform(strip))
	flux, err := fluxsource.New(fluxsource.Options{
		Kube: kube, MiniClusters: informers.FluxFramework().V1alpha2().MiniClusters(), Registry: registry,
		Interval: o.CollectInterval, Timeout: o.CollectTimeout, MaxAge: o.MaxAge, Concurrency: o.CollectConcurrency,
		Address: o.Address,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	options, err := o.capacity()
	if err != nil {
		return nil, nil, nil, err
	}
	options.Interval, options.PodLabels, options.MayListNodes = o.CollectInterval, o.Prometheus.URL != "", nodes.check
	miniClusters := informers.FluxFramework().V1alpha2().MiniClusters()
	free, err := capacity.NewSource(kube, miniClusters.Lister(), miniClusters.Informer().HasSynced, options)
	if err != nil {
		return nil, nil, nil, err
	}
	registry.RawMustRegister(capacity.NewCollector(free))
	recorder, err := o.newRecorder(miniClusters, flux, free)
	if err != nil {
		return nil, nil, nil, err
	}
	sources := []metrics.Source{flux, free, recommended.New(recommended.Options{
		MiniClusters: miniClusters.Lister(), Demand: flux, Fitting: free, Interval: o.CollectInterval,
		DemandMetric: fluxsource.MetricSizeDemanded, FittingMetric: capacity.MetricSizeFitting,
		Synced: func() bool { return flux.Synced() && free.Synced() },
	})}
	if o.Prometheus.URL != "" {
		queries, err := o.newQueries(ctx, kube, registry, miniClusters.Lister(), free, sources)
		if err != nil {
			return nil, nil, nil, err
		}
		sources = append(sources, queries)
	}
	start := func(ctx context.Context) {
		informers.StartWithContext(ctx)
		<-ctx.Done()
		informers.Shutdown()
	}
	return sources, recorder, start, nil
}

// strip removes managed fields and annotations, which this process does not read and which are often
// larger than the rest of an object.
func strip(obj any) (any, error) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
		o.SetAnnotations(nil)
	}
	return obj, nil
}

// apiVersions returns the API versions to register, and those that other flags would register.
func (o *Options) apiVersions() (served, others []schema.GroupVersion) {
	for _, api := range []struct {
		gv     schema.GroupVersion
		served bool
	}{
		{schema.GroupVersion{Group: "custom.metrics.k8s.io", Version: "v1beta1"}, o.serves(apiCustom)},
		{schema.GroupVersion{Group: "custom.metrics.k8s.io", Version: "v1beta2"}, o.serves(apiCustom)},
		{schema.GroupVersion{Group: "external.metrics.k8s.io", Version: "v1beta1"}, o.serves(apiExternal)},
		{page.GroupVersion(), o.Page},
	} {
		if api.served {
			served = append(served, api.gv)
		} else {
			others = append(others, api.gv)
		}
	}
	return served, others
}

func newKeeper(o *Options, config *rest.Config, kube kubernetes.Interface, registry componentmetrics.KubeRegistry) (*serving.Keeper, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("creating the client of APIServices: %w", err)
	}
	versions, obsolete := o.apiVersions()
	return serving.NewKeeper(serving.Options{
		Kube: kube, Dynamic: client, Secret: o.SecretName, Owner: o.APIServiceOwner, Versions: versions, Obsolete: obsolete, Registry: registry,
		Backend:  serving.Backend{Namespace: o.Namespace, Name: o.ServiceName, Port: o.ServicePort},
		CertFile: o.CertFile, KeyFile: o.KeyFile, CAFile: o.CAFile, Interval: o.RegistrationInterval,
	}), nil
}

// synced returns a function that reports whether the caches of all sources are synced.
func synced(sources []metrics.Source) func() bool {
	return func() bool {
		return !slices.ContainsFunc(sources, func(s metrics.Source) bool {
			r, ok := s.(metrics.Runner)
			return ok && !r.Synced()
		})
	}
}

// metricsHandler serves the metrics of this process and of its libraries at /metrics. The API server authorizes
// requests to it; at MetricsAddress, every client that can connect may read them.
func metricsHandler(own componentmetrics.KubeRegistry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", componentmetrics.HandlerFor(prometheus.Gatherers{own, legacyregistry.DefaultGatherer}, componentmetrics.HandlerOpts{}))
	return mux
}
