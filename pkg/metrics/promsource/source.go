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

// concurrency is how many queries are run at a time.
const concurrency = 8

// Options are what the source is made of.
type Options struct {
	Kube kubernetes.Interface
	// Namespace and ConfigMap are those of the queries.
	Namespace, ConfigMap string
	// Prometheus is who is asked.
	Prometheus promv1.API
	// Timeout is what it has to answer a query.
	Timeout time.Duration
	// Interval is for how long an answer is used.
	Interval time.Duration
	// Pods returns the names of the pods of a namespace that a selector selects.
	Pods func(namespace string, selector labels.Selector) []string
	// MiniClusters are all there are.
	MiniClusters fluxlisters.MiniClusterLister
	// Synced tells whether Pods and MiniClusters know all.
	Synced func() bool
	// Others have metrics whose names can't be taken.
	Others []metrics.Source
	// Registry gets the source's own metrics.
	Registry componentmetrics.KubeRegistry
}

// Source has the metrics that the queries of a ConfigMap define. It knows them while Run
// runs.
type Source struct {
	options    Options
	configMaps cache.SharedIndexInformer
	loaded     func() bool
	runner     *runner
	observe    *observer

	mu sync.RWMutex
	// queries are those of the ConfigMap, by the names of their entries; at has them, again,
	// by what they define. Neither is ever changed in place.
	queries map[string]*query
	at      map[place]*query
}

// place is what a query defines: a metric, of what.
type place struct {
	object object
	metric string
}

var (
	_ metrics.Source = (*Source)(nil)
	_ metrics.Runner = (*Source)(nil)
)

// New makes the source.
func New(ctx context.Context, o Options) (*Source, error) {
	s := &Source{options: o, configMaps: newInformer(o.Kube, o.Namespace, o.ConfigMap), observe: newObserver(o.Registry)}
	s.runner = &runner{
		prometheus: o.Prometheus, timeout: o.Timeout, interval: o.Interval, places: make(chan struct{}, concurrency),
		changed: func(result state, took time.Duration) {
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
		return nil, fmt.Errorf("setting up the watch of ConfigMap %s/%s: %w", o.Namespace, o.ConfigMap, err)
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
	trying := make(chan struct{})
	go func() {
		defer close(trying)
		wait.UntilWithContext(ctx, s.tryAgain, againAfter)
	}()
	s.configMaps.RunWithContext(ctx)
	<-trying
	return nil
}

// againAfter is how long a query has failed before it is run although nobody asks for it.
const againAfter = time.Minute

// tryAgain runs those that failed. Nobody may ever ask this replica for them, and what it says of their state would be
// of a Prometheus that has come back long ago.
func (s *Source) tryAgain(ctx context.Context) {
	s.mu.RLock()
	queries := s.queries
	s.mu.RUnlock()
	for _, q := range queries {
		if state := q.state(); q.wrong == nil && (state == stateFailed || state == stateInvalid) {
			s.runner.start(ctx, q)
		}
	}
}

// Synced tells whether the ConfigMap was read, or there is none. It does not wait for
// Prometheus: other sources can answer without it.
func (s *Source) Synced() bool { return s.loaded() }

// load takes on what the ConfigMap has now. A query that is as it was keeps its answer;
// others are tried at once, so that what is wrong with them is known before they are needed.
func (s *Source) load(ctx context.Context, data map[string]string, binary map[string][]byte) {
	s.mu.RLock()
	before := s.queries
	s.mu.RUnlock()
	now := make(map[string]*query, len(data)+len(binary))
	for name, text := range data {
		now[name] = &query{name: name, text: text}
		now[name].definition, now[name].wrong = decode(name, text)
	}
	for name := range binary {
		now[name] = &query{name: name, definition: definition{Metric: name}, wrong: errors.New("must be in data of the ConfigMap, and not in binaryData")}
	}
	at := s.arrange(now)
	for name, q := range now {
		if old := before[name]; old != nil && old.text == q.text && old.wrong == nil && q.wrong == nil {
			now[name], at[place{q.definition.Object, q.definition.Metric}] = old, old
		}
	}
	s.mu.Lock()
	s.queries, s.at = now, at
	s.mu.Unlock()
	s.count()

	logger := klog.FromContext(ctx).WithValues("configMap", klog.KRef(s.options.Namespace, s.options.ConfigMap))
	logger.Info("Queries loaded", "queries", len(now))
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch q := now[name]; {
		case q.wrong == nil && q != before[name]:
			s.runner.start(klog.NewContext(ctx, logger), q)
		case q.wrong != nil && (before[name] == nil || before[name].text != q.text):
			logger.Error(q.wrong, "A query is wrong and left out", "query", name)
		}
	}
}

// arrange sorts queries by what they define, and finds those that define what is there
// already. One that is wrong stands wherever somebody could look for it, to say so.
func (s *Source) arrange(queries map[string]*query) map[place]*query {
	at := map[place]*query{}
	ordered := slices.Sorted(maps.Keys(queries))
	taken := s.taken()
	for _, name := range ordered {
		q := queries[name]
		if q.wrong != nil {
			continue
		}
		p := place{q.definition.Object, q.definition.Metric}
		switch {
		case taken[p]:
			q.wrong = fmt.Errorf("there is a metric %s of %s without it: choose another name", p.metric, p.object)
		case at[p] != nil:
			q.wrong = fmt.Errorf("entry %s defines metric %s of %s already", at[p].name, p.metric, p.object)
		default:
			at[p] = q
		}
	}
	for _, name := range ordered {
		q := queries[name]
		if q.wrong == nil {
			continue
		}
		for _, o := range objects() {
			p := place{o, q.definition.Metric}
			if at[p] == nil && !taken[p] && (q.definition.Object == o || !slices.Contains(objects(), q.definition.Object)) {
				at[p] = q
			}
		}
	}
	return at
}

// taken is what other sources define.
func (s *Source) taken() map[place]bool {
	taken := map[place]bool{}
	for _, other := range s.options.Others {
		for _, info := range other.Custom() {
			for _, o := range objects() {
				if o != external && o.resource() == info.Resource {
					taken[place{o, info.Metric}] = true
				}
			}
		}
		for _, name := range other.External() {
			taken[place{external, name}] = true
		}
	}
	return taken
}

func (s *Source) count() {
	// Alone: of two that count at the same time, the one that looked first could be the last to say so.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observe.count(s.queries)
}

// find returns the query that defines a metric; nil if there is none.
func (s *Source) find(p place) *query {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.at[p]
}

// Custom lists the metrics of the queries, those that are wrong too.
func (s *Source) Custom() []metrics.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []metrics.Info
	for p := range s.at {
		if p.object != external {
			infos = append(infos, metrics.Info{Resource: p.object.resource(), Metric: p.metric})
		}
	}
	return infos
}

// External lists the external ones among them.
func (s *Source) External() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for p := range s.at {
		if p.object == external {
			names = append(names, p.metric)
		}
	}
	return names
}
