package promsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	componentmetrics "k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	fluxlisters "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// concurrency is the maximum number of concurrent queries.
const concurrency = 8

// Options configure a source.
type Options struct {
	Kube kubernetes.Interface
	// Namespace and ConfigMap are the namespace and the name of the ConfigMap with the queries.
	Namespace, ConfigMap string
	// Prometheus is the client of the Prometheus server.
	Prometheus promv1.API
	// Timeout of a query.
	Timeout time.Duration
	// Interval for which a result is reused.
	Interval time.Duration
	// Pods returns the names of the pods in a namespace that match a selector.
	Pods func(namespace string, selector labels.Selector) []string
	// MiniClusters lists all MiniClusters.
	MiniClusters fluxlisters.MiniClusterLister
	// Synced reports whether the caches behind Pods and MiniClusters are synced.
	Synced func() bool
	// Others are sources whose metric names are reserved.
	Others []metrics.Source
	// Registry for the metrics about queries.
	Registry componentmetrics.KubeRegistry
}

// Source provides the metrics that the queries in a ConfigMap define. It watches the ConfigMap while
// Run runs.
type Source struct {
	options    Options
	configMaps cache.SharedIndexInformer
	loaded     func() bool
	runner     *runner
	observe    *observer

	mu sync.RWMutex
	// queries maps names of entries to their queries, byMetric maps metrics to the queries that define
	// them. Both maps are replaced and never modified.
	queries       map[string]*query
	byMetric      map[metricKey]*query
	customInfos   []metrics.Info
	externalNames []string
}

// metricKey identifies the metric that a query defines.
type metricKey struct {
	object object
	metric string
}

var (
	_ metrics.Source = (*Source)(nil)
	_ metrics.Runner = (*Source)(nil)
)

// New returns a source.
func New(ctx context.Context, o Options) (*Source, error) {
	s := &Source{options: o, configMaps: newInformer(o.Kube, o.Namespace, o.ConfigMap), observe: newObserver(o.Registry)}
	s.runner = &runner{
		prometheus: o.Prometheus, timeout: o.Timeout, interval: o.Interval, slots: make(chan struct{}, concurrency),
		onEnd: func(result state, took time.Duration) {
			s.observe.run(result, took)
			s.count()
		},
	}
	load := func(obj any) {
		if configMap, ok := obj.(*corev1.ConfigMap); ok {
			s.load(ctx, configMap.Data, configMap.BinaryData)
		}
	}
	registration, err := s.configMaps.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    load,
		UpdateFunc: func(_, obj any) { load(obj) },
		DeleteFunc: func(any) { s.load(ctx, nil, nil) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching ConfigMap %s/%s: %w", o.Namespace, o.ConfigMap, err)
	}
	s.loaded = registration.HasSynced
	s.count()
	return s, nil
}

// Run watches the ConfigMap until the context ends.
func (s *Source) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), s.options.Synced) {
		return nil
	}
	retrying := make(chan struct{})
	go func() {
		defer close(retrying)
		wait.UntilWithContext(ctx, s.retryFailed, retryInterval)
	}()
	s.configMaps.RunWithContext(ctx)
	<-retrying
	return nil
}

// retryInterval is the interval at which failed queries run even if their metric is not requested.
const retryInterval = time.Minute

// retryFailed runs the queries that failed. Otherwise the state that a replica reports would be outdated if it
// receives no requests for them.
func (s *Source) retryFailed(ctx context.Context) {
	s.mu.RLock()
	queries := s.queries
	s.mu.RUnlock()
	for _, q := range queries {
		if state := q.state(); q.invalid == nil && (state == stateFailed || state == stateInvalid) {
			s.runner.start(ctx, q)
		}
	}
}

// Synced reports whether the ConfigMap has been read or does not exist. It does not depend on
// Prometheus, so that other sources can serve without it.
func (s *Source) Synced() bool { return s.loaded() }

// load applies the content of the ConfigMap. Unchanged queries keep their answers. New ones run at
// once, so that errors are known before their metrics are requested.
func (s *Source) load(ctx context.Context, data map[string]string, binary map[string][]byte) {
	s.mu.RLock()
	before := s.queries
	s.mu.RUnlock()
	now := make(map[string]*query, len(data)+len(binary))
	for name, text := range data {
		now[name] = &query{name: name, text: text}
		now[name].definition, now[name].invalid = decode(name, text)
	}
	for name := range binary {
		now[name] = &query{name: name, definition: definition{Metric: name}, invalid: errors.New("must be in data of the ConfigMap instead of binaryData")}
	}
	byMetric := s.arrange(now)
	for name, q := range now {
		if old := before[name]; old != nil && old.text == q.text && old.invalid == nil && q.invalid == nil {
			now[name], byMetric[metricKey{q.definition.Object, q.definition.Metric}] = old, old
		}
	}
	s.mu.Lock()
	s.queries, s.byMetric = now, byMetric
	s.customInfos, s.externalNames = listMetrics(byMetric)
	s.mu.Unlock()
	s.count()

	logger := klog.FromContext(ctx).WithValues("configMap", klog.KRef(s.options.Namespace, s.options.ConfigMap))
	logger.Info("Queries loaded", "queries", len(now))
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch q := now[name]; {
		case q.invalid == nil && q != before[name]:
			s.runner.start(klog.NewContext(ctx, logger), q)
		case q.invalid != nil && (before[name] == nil || before[name].text != q.text):
			logger.Error(q.invalid, "Ignoring an invalid query", "query", name)
		}
	}
}

// arrange maps metrics to their queries and marks queries whose metric is defined elsewhere as invalid.
// It maps every metric that an invalid query could define to it, so that requests return its error.
func (s *Source) arrange(queries map[string]*query) map[metricKey]*query {
	byMetric := map[metricKey]*query{}
	ordered := slices.Sorted(maps.Keys(queries))
	taken := s.taken()
	for _, name := range ordered {
		q := queries[name]
		if q.invalid != nil {
			continue
		}
		p := metricKey{q.definition.Object, q.definition.Metric}
		switch {
		case taken[p]:
			q.invalid = fmt.Errorf("metric %s of %s is built in: choose another name", p.metric, p.object)
		case byMetric[p] != nil:
			q.invalid = fmt.Errorf("entry %s already defines metric %s of %s", byMetric[p].name, p.metric, p.object)
		default:
			byMetric[p] = q
		}
	}
	for _, name := range ordered {
		q := queries[name]
		if q.invalid == nil {
			continue
		}
		for _, o := range objects() {
			p := metricKey{o, q.definition.Metric}
			if byMetric[p] == nil && !taken[p] && (q.definition.Object == o || !slices.Contains(objects(), q.definition.Object)) {
				byMetric[p] = q
			}
		}
	}
	return byMetric
}

// taken returns the metrics that other sources define.
func (s *Source) taken() map[metricKey]bool {
	taken := map[metricKey]bool{}
	for _, other := range s.options.Others {
		for _, info := range other.Custom() {
			for _, o := range objects() {
				if o != external && o.resource() == info.Resource {
					taken[metricKey{o, info.Metric}] = true
				}
			}
		}
		for _, name := range other.External() {
			taken[metricKey{external, name}] = true
		}
	}
	return taken
}

func (s *Source) count() {
	// The lock prevents an older count from overwriting a newer one.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observe.count(s.queries)
}

// find returns the query that defines a metric, or nil if there is none.
func (s *Source) find(p metricKey) *query {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byMetric[p]
}

// Custom returns the metrics of all queries, including invalid ones.
func (s *Source) Custom() []metrics.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.customInfos
}

// External returns the names of the external metrics of all queries.
func (s *Source) External() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.externalNames
}

// listMetrics returns the metrics that queries define.
func listMetrics(byMetric map[metricKey]*query) (custom []metrics.Info, names []string) {
	for p := range byMetric {
		if p.object == external {
			names = append(names, p.metric)
		} else {
			custom = append(custom, metrics.Info{Resource: p.object.resource(), Metric: p.metric})
		}
	}
	return custom, names
}
