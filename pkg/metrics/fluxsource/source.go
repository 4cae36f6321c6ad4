package fluxsource

import (
	"context"
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

// LabelMiniCluster is the label of external metrics that carries the name of the
// MiniCluster; they have the MiniCluster's own labels besides.
const LabelMiniCluster = "minicluster"

// Options are what the source is made of.
type Options struct {
	Kube kubernetes.Interface
	// MiniClusters is started by whoever made it.
	MiniClusters fluxinformers.MiniClusterInformer
	Registry     componentmetrics.KubeRegistry
	// Interval is the time from the beginning of a round to that of the next one.
	Interval time.Duration
	// Timeout is what an agent has to answer.
	Timeout time.Duration
	// MaxAge is how old numbers may be.
	MaxAge time.Duration
	// Concurrency is how many agents are asked at a time.
	Concurrency int
	// Address is where the agent of a lead pod is; nil for PodAddress.
	Address func(*corev1.Pod) (string, error)
}

// Source knows the metrics of Flux.
type Source struct {
	options   Options
	clusters  fluxlisters.MiniClusterLister
	synced    cache.InformerSynced
	leads     cache.SharedIndexInformer
	collector *collector
	metrics   []metric
	byName    map[string]int
}

var (
	_ metrics.Source = (*Source)(nil)
	_ metrics.Runner = (*Source)(nil)
)

// New makes the source. It collects while Run runs.
func New(o Options) (*Source, error) {
	leads, err := newLeadInformer(o.Kube)
	if err != nil {
		return nil, err
	}
	if o.Address == nil {
		o.Address = PodAddress
	}
	s := &Source{
		options: o, clusters: o.MiniClusters.Lister(), synced: o.MiniClusters.Informer().HasSynced,
		leads: leads, metrics: table(), byName: map[string]int{},
	}
	for i, m := range s.metrics {
		s.byName[m.name] = i
	}
	s.collector = &collector{
		targets: s.targets, metrics: s.metrics, client: newClient(o.Concurrency), concurrency: o.Concurrency,
		timeout: o.Timeout, observe: newObserver(o.Registry), samples: map[types.NamespacedName]sample{},
	}
	return s, nil
}

// Run collects until the context ends.
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
		case <-ticker.C: // at most one tick waits, however long the round was
		}
	}
}

// Synced tells whether MiniClusters and their lead pods are known.
func (s *Source) Synced() bool { return s.synced() && s.leads.HasSynced() }

// targets are the agents of all MiniClusters whose lead pod runs.
func (s *Source) targets() []target {
	clusters, err := s.clusters.List(labels.Everything())
	if err != nil {
		return nil // a lister of a cache has no errors
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

// value is a metric of a MiniCluster.
func (s *Source) value(mc *v1alpha2.MiniCluster, name string) (metrics.Value, error) {
	value, err := s.number(mc, name)
	if err != nil {
		return value, fmt.Errorf("no %s of MiniCluster %s/%s: %w", name, mc.Namespace, mc.Name, err)
	}
	return value, nil
}

// largest is what a number of nodes, cores, jobs or seconds is never above; thousandths of it can
// be counted.
const largest = 1e15

func (s *Source) number(mc *v1alpha2.MiniCluster, name string) (metrics.Value, error) {
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
	i := s.byName[name]
	number := last.values[i]
	if math.IsNaN(number) {
		return metrics.Value{}, fmt.Errorf("its agent does not know %s", s.metrics[i].family)
	}
	if math.Abs(number) > largest {
		return metrics.Value{}, fmt.Errorf("its agent says that %s is %g", s.metrics[i].family, number)
	}
	if s.metrics[i].size {
		number = float64(mc.Granted(int64(number)))
	}
	// What the first ones of very many jobs want is reason to grow, and none to shrink.
	if more := last.values[s.byName[Uncounted]]; s.metrics[i].demand && more > 0 && (!s.metrics[i].size || number < float64(mc.Status.Size)) {
		return metrics.Value{}, fmt.Errorf("%.0f jobs wait besides those whose demand is added up", more)
	}
	return metrics.Value{
		Kind: v1alpha2.MiniClusterKind, Namespace: mc.Namespace, Name: mc.Name, At: last.at,
		Labels:   labels.Merge(mc.Labels, labels.Set{LabelMiniCluster: mc.Name}),
		Quantity: *resource.NewMilliQuantity(int64(math.Round(number*1000)), resource.DecimalSI),
	}, nil
}

var (
	miniclusters = schema.GroupResource{Group: v1alpha2.MiniClusterKind.Group, Resource: "miniclusters"}
	services     = schema.GroupResource{Resource: "services"}
	serviceKind  = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
)

// Custom lists every metric, of MiniClusters and of Services.
func (s *Source) Custom() []metrics.Info {
	infos := make([]metrics.Info, 0, 2*len(s.metrics))
	for _, m := range s.metrics {
		infos = append(infos, metrics.Info{Resource: miniclusters, Metric: m.name}, metrics.Info{Resource: services, Metric: m.name})
	}
	return infos
}

// External lists every metric.
func (s *Source) External() []string {
	names := make([]string, 0, len(s.metrics))
	for _, m := range s.metrics {
		names = append(names, m.name)
	}
	return names
}
