// Package recommended provides the size that a MiniCluster should have: what its jobs need, as far as there is room.
package recommended

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// metricSizeRecommended is the size that a MiniCluster should have.
const metricSizeRecommended = "size_recommended"

// Options configure a Source.
type Options struct {
	// MiniClusters lists MiniClusters.
	MiniClusters listers.MiniClusterLister
	// Demand and Fitting provide the metrics of the names.
	Demand, Fitting             metrics.Source
	DemandMetric, FittingMetric string
	// Interval at which the demand is read.
	Interval time.Duration
	// Synced reports whether the other sources are synced.
	Synced func() bool
	// Clock is the source of time; the system's where nil.
	Clock clock.WithTicker
}

// Source provides metricSizeRecommended: the smaller of the demand and the size that fits. If spec.autoscaling has
// the metric Recommended, the demand is the largest one of the last idleSeconds, so that a cluster does not shrink in a
// short pause between jobs, but shrinks at once when there is less room.
type Source struct {
	options Options
	infos   []metrics.Info

	mu      sync.Mutex
	windows map[types.NamespacedName]*window
}

var (
	_ metrics.Source = (*Source)(nil)
	_ metrics.Runner = (*Source)(nil)
)

// New returns a source. It records the demand while Run runs.
func New(o Options) *Source {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return &Source{
		options: o, infos: []metrics.Info{{Resource: v1alpha2.Resource("miniclusters"), Metric: metricSizeRecommended}},
		windows: map[types.NamespacedName]*window{},
	}
}

// Run records the demand of MiniClusters with spec.autoscaling until the context ends.
func (s *Source) Run(ctx context.Context) error {
	ticker := s.options.Clock.NewTicker(s.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
			s.record(ctx)
		}
	}
}

// Synced reports whether the other sources are synced.
func (s *Source) Synced() bool { return s.options.Synced() }

// idle returns the time for which the demand of a MiniCluster must stay low.
func idle(mc *v1alpha2.MiniCluster) time.Duration {
	a := mc.Spec.Autoscaling
	if a == nil || a.Metric != v1alpha2.AutoscalingRecommended {
		return 0
	}
	seconds := v1alpha2.DefaultIdleSeconds
	if a.IdleSeconds != nil {
		seconds = *a.IdleSeconds
	}
	return time.Duration(seconds) * time.Second
}

// record adds the current demand of each MiniCluster to its window.
func (s *Source) record(ctx context.Context) {
	all, err := s.options.MiniClusters.List(labels.Everything())
	if err != nil || !s.Synced() {
		return
	}
	known := map[types.NamespacedName]bool{}
	for _, mc := range all {
		if idle(mc) == 0 {
			continue
		}
		known[nameOf(mc)] = true
		// While the demand is unknown, the window keeps what it has.
		if value, err := one(ctx, s.options.Demand, s.options.DemandMetric, mc); err == nil {
			s.demand(mc, value.Quantity.Value())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.windows {
		if !known[name] {
			delete(s.windows, name)
		}
	}
}

// demand adds a demand to the window of a MiniCluster and returns the largest one in it.
func (s *Source) demand(mc *v1alpha2.MiniCluster, now int64) int64 {
	length := idle(mc)
	if length == 0 {
		return now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[nameOf(mc)]
	if w == nil || w.uid != mc.UID {
		// The demand of the time before is unknown: the size that the cluster has counts as one.
		w = &window{uid: mc.UID}
		w.add(s.options.Clock.Now(), int64(mc.RequestedSize()), length)
		s.windows[nameOf(mc)] = w
	}
	return w.add(s.options.Clock.Now(), now, length)
}

func nameOf(mc *v1alpha2.MiniCluster) types.NamespacedName {
	return types.NamespacedName{Namespace: mc.Namespace, Name: mc.Name}
}

// window has the demands of the last time that may still be the largest one: each is smaller than the one before.
type window struct {
	uid     types.UID
	samples []sample
}

type sample struct {
	at time.Time
	n  int64
}

// add adds a demand and returns the largest one of the last time.
func (w *window) add(now time.Time, n int64, length time.Duration) int64 {
	w.samples = slices.DeleteFunc(w.samples, func(s sample) bool { return s.n <= n || now.Sub(s.at) > length })
	w.samples = append(w.samples, sample{now, n})
	return w.samples[0].n
}

// Custom returns the only metric.
func (s *Source) Custom() []metrics.Info { return s.infos }

// External returns nil: the metric describes MiniClusters.
func (s *Source) External() []string { return nil }

// ExternalValues returns nil, because there are no external metrics.
func (s *Source) ExternalValues(context.Context, metrics.ExternalQuery) ([]metrics.Value, error) {
	return nil, nil
}

// CustomValues returns the sizes of MiniClusters.
func (s *Source) CustomValues(ctx context.Context, q metrics.Query) ([]metrics.Value, error) {
	if q.Metric != metricSizeRecommended {
		return nil, nil
	}
	demands, err := values(ctx, s.options.Demand, s.options.DemandMetric, q)
	if err != nil {
		return nil, err
	}
	fitting, err := values(ctx, s.options.Fitting, s.options.FittingMetric, q)
	if err != nil && !slices.ContainsFunc(demands, s.hibernates) {
		return nil, err
	}
	var all []metrics.Value
	for _, demand := range demands {
		if s.hibernates(demand) {
			all = append(all, demand)
			continue
		}
		i := slices.IndexFunc(fitting, func(v metrics.Value) bool { return v.Namespace == demand.Namespace && v.Name == demand.Name })
		mc, err := s.options.MiniClusters.MiniClusters(demand.Namespace).Get(demand.Name)
		if i < 0 || err != nil {
			continue // the value is unknown
		}
		value := demand
		size := min(s.demand(mc, demand.Quantity.Value()), fitting[i].Quantity.Value())
		value.Quantity = *resource.NewQuantity(size, resource.DecimalSI)
		if fitting[i].At.Before(value.At) {
			value.At = fitting[i].At
		}
		all = append(all, value)
	}
	return all, nil
}

// hibernates reports whether a value is that of a MiniCluster without pods: what fits is unknown, and its demand, which
// was saved, counts.
func (s *Source) hibernates(v metrics.Value) bool {
	mc, err := s.options.MiniClusters.MiniClusters(v.Namespace).Get(v.Name)
	if err != nil {
		return false
	}
	_, stopped := mc.StoppedDemand()
	return stopped
}

// values returns the values of a metric of another source for a query.
func values(ctx context.Context, source metrics.Source, metric string, q metrics.Query) ([]metrics.Value, error) {
	q.Metric, q.MetricSelector = metric, nil
	return source.CustomValues(ctx, q)
}

// errNoValue is returned if a source has no value of a MiniCluster.
var errNoValue = errors.New("no value")

// one returns the value of a metric of one MiniCluster.
func one(ctx context.Context, source metrics.Source, metric string, mc *v1alpha2.MiniCluster) (metrics.Value, error) {
	found, err := source.CustomValues(ctx, metrics.Query{
		Info:      metrics.Info{Resource: v1alpha2.Resource("miniclusters"), Metric: metric},
		Namespace: mc.Namespace, Name: mc.Name, Selector: labels.Everything(),
	})
	if err != nil {
		return metrics.Value{}, err
	}
	if len(found) == 0 {
		return metrics.Value{}, errNoValue
	}
	return found[0], nil
}
