package fluxsource

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	componentmetrics "k8s.io/component-base/metrics"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions/fluxframework/v1alpha2"
	fluxlisters "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// labelMiniCluster is the label of external metrics with the name of the MiniCluster. They also have the
// labels of the MiniCluster.
const labelMiniCluster = "minicluster"

// Options configure a source.
type Options struct {
	Kube kubernetes.Interface
	// MiniClusters is started by the caller.
	MiniClusters fluxinformers.MiniClusterInformer
	Registry     componentmetrics.KubeRegistry
	// Interval between the starts of two rounds.
	Interval time.Duration
	// Timeout of a query to an agent.
	Timeout time.Duration
	// MaxAge of the values that are served.
	MaxAge time.Duration
	// Concurrency is the number of agents that are queried at the same time.
	Concurrency int
	// Address returns the address of the agent of a lead pod; nil selects the default.
	Address func(*corev1.Pod) (string, error)
}

// Source provides metrics of Flux.
type Source struct {
	options   Options
	clusters  fluxlisters.MiniClusterLister
	synced    cache.InformerSynced
	leads     cache.SharedIndexInformer
	collector *collector
	metrics   []metric
	byName    map[string]int
	custom    []metrics.Info
	external  []string
}

var (
	_ metrics.Source   = (*Source)(nil)
	_ metrics.Unlisted = (*Source)(nil)
	_ metrics.Runner   = (*Source)(nil)
)

// New returns a source. It collects metrics while Run runs.
func New(o Options) (*Source, error) {
	leads, err := newLeadInformer(o.Kube)
	if err != nil {
		return nil, err
	}
	if o.Address == nil {
		o.Address = podAddress
	}
	s := &Source{
		options: o, clusters: o.MiniClusters.Lister(), synced: o.MiniClusters.Informer().HasSynced,
		leads: leads, metrics: table(), byName: map[string]int{},
	}
	for i, m := range s.metrics {
		s.byName[m.name] = i
		s.custom = append(s.custom, metrics.Info{Resource: miniclusters, Metric: m.name}, metrics.Info{Resource: services, Metric: m.name})
		s.external = append(s.external, m.name)
	}
	s.collector = &collector{
		targets: s.targets, parser: newParser(s.metrics), client: newClient(o.Concurrency), concurrency: o.Concurrency,
		timeout: o.Timeout, observe: newObserver(o.Registry), samples: map[types.NamespacedName]sample{},
	}
	return s, nil
}

// Run collects metrics until the context ends.
func (s *Source) Run(ctx context.Context) error {
	informing := make(chan struct{})
	go func() {
		defer close(informing)
		s.leads.RunWithContext(ctx)
	}()
	defer func() { <-informing }()
	defer s.collector.client.CloseIdleConnections()
	if !cache.WaitForCacheSync(ctx.Done(), s.synced, s.leads.HasSynced) {
		return nil
	}
	ticker := time.NewTicker(s.options.Interval)
	defer ticker.Stop()
	for {
		s.collector.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C: // at most one tick is pending after a long round
		}
	}
}

// Synced reports whether the caches of MiniClusters and lead pods are synced.
func (s *Source) Synced() bool { return s.synced() && s.leads.HasSynced() }

// targets returns the agents of all MiniClusters whose lead pod is running.
func (s *Source) targets() []target {
	clusters, err := s.clusters.List(labels.Everything())
	if err != nil {
		return nil // listing a cache does not fail
	}
	targets := make([]target, 0, len(clusters))
	for _, mc := range clusters {
		pod, err := leadPod(s.leads.GetIndexer(), mc)
		if err != nil {
			continue
		}
		address, err := s.options.Address(pod)
		if err != nil {
			continue
		}
		targets = append(targets, target{cluster: key(mc), pod: pod.UID, address: address})
	}
	return targets
}

func key(mc *v1alpha2.MiniCluster) types.NamespacedName {
	return types.NamespacedName{Namespace: mc.Namespace, Name: mc.Name}
}

// value returns the value of a metric of a MiniCluster.
func (s *Source) value(mc *v1alpha2.MiniCluster, name string) (metrics.Value, error) {
	value, err := s.number(mc, name)
	if err != nil {
		return value, fmt.Errorf("no %s of MiniCluster %s/%s: %w", name, mc.Namespace, mc.Name, err)
	}
	return value, nil
}

func (s *Source) number(mc *v1alpha2.MiniCluster, name string) (metrics.Value, error) {
	if demand, stopped := mc.StoppedDemand(); stopped && name == MetricSizeDemanded {
		return valueOf(mc, time.Now(), float64(mc.GrantedDemand(demand))), nil
	}
	pod, err := leadPod(s.leads.GetIndexer(), mc)
	if err != nil {
		return metrics.Value{}, err
	}
	if _, err := s.options.Address(pod); err != nil {
		return metrics.Value{}, err
	}
	last, err := s.collector.latest(key(mc), pod.UID, s.options.MaxAge)
	if err != nil {
		return metrics.Value{}, err
	}
	i, builtIn := s.byName[name]
	if !builtIn {
		number, set := last.application[name]
		if !set {
			return metrics.Value{}, errors.New("its application has not set it, or the value has expired")
		}
		return valueOf(mc, last.at, number), nil
	}
	number := last.values[i]
	if math.IsNaN(number) {
		return metrics.Value{}, fmt.Errorf("its agent does not provide %s", s.metrics[i].family)
	}
	if math.Abs(number) > metrics.MaxValue {
		return metrics.Value{}, fmt.Errorf("its agent returned an invalid value of %s: %g", s.metrics[i].family, number)
	}
	if s.metrics[i].size {
		number = float64(mc.GrantedDemand(int64(number)))
	}
	// The demand of a part of the jobs is a reason to grow, and not a reason to shrink.
	if more := last.values[s.byName[metricUncounted]]; s.metrics[i].demand && more > 0 && (!s.metrics[i].size || number < float64(mc.Status.Size)) {
		return metrics.Value{}, fmt.Errorf("%.0f pending jobs are not included in the demand", more)
	}
	return valueOf(mc, last.at, number), nil
}

// valueOf returns a number of a MiniCluster at a time.
func valueOf(mc *v1alpha2.MiniCluster, at time.Time, number float64) metrics.Value {
	return metrics.Value{
		Kind: v1alpha2.MiniClusterKind, Namespace: mc.Namespace, Name: mc.Name, At: at,
		Labels:   labels.Merge(mc.Labels, labels.Set{labelMiniCluster: mc.Name}),
		Quantity: *resource.NewMilliQuantity(int64(math.Round(number*1000)), resource.DecimalSI),
	}
}

var (
	miniclusters = schema.GroupResource{Group: v1alpha2.MiniClusterKind.Group, Resource: "miniclusters"}
	services     = schema.GroupResource{Resource: "services"}
	serviceKind  = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
)

// Custom returns every metric of MiniClusters and of Services.
func (s *Source) Custom() []metrics.Info { return s.custom }

// External returns the name of every metric.
func (s *Source) External() []string { return s.external }
