package capacity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// DefaultService is the name of the Service that the metrics of the cluster describe.
const DefaultService = "cluster-metrics"

// errNoJob is returned for a MiniCluster without a Job, because the requests of its pods are unknown.
var errNoJob = errors.New("the MiniCluster has no Job yet")

// errUncounted is returned for the number of pods that fit if they use resources that no node has.
var errUncounted = errors.New("no schedulable node has a resource that its pods use")

// errSelector is returned to users who may not list nodes.
var errSelector = errors.New("a metric with a selector of nodes requires the right to list nodes")

// Options configure a Source.
type Options struct {
	// Interval for which a snapshot is used.
	Interval time.Duration
	// Reserve applies to MiniClusters without a reserve.
	Reserve reserve.Reserve
	// Pools are node pools with separate Prometheus metrics, by name.
	Pools map[string]labels.Selector
	// PodLabels enables PodNames.
	PodLabels bool
	// MayListNodes reports whether the user of a request may list nodes, and therefore select some of them by their
	// labels. If it is nil, all users may.
	MayListNodes func(context.Context) (bool, error)
}

// Source provides metrics of the cluster, which describe a Service, and of each MiniCluster. The Service is
// DefaultService in any namespace and does not have to exist: an autoscaler can only refer to objects in its own
// namespace.
type Source struct {
	options      Options
	watcher      *watcher
	miniClusters listers.MiniClusterLister
	synced       func() bool

	mu      sync.Mutex
	last    *snapshot
	history history
	// infos are the metrics for some resources of nodes.
	infos         []metrics.Info
	infoResources []corev1.ResourceName
}

var (
	_ metrics.Source = (*Source)(nil)
	_ metrics.Runner = (*Source)(nil)

	services     = schema.GroupResource{Resource: "services"}
	miniClusters = v1alpha2.Resource("miniclusters")
	serviceKind  = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
)

// NewSource returns a source that watches the cluster, except for MiniClusters, which it reads from a lister. The
// function synced reports whether the cache of the lister is synced.
func NewSource(client kubernetes.Interface, miniClusters listers.MiniClusterLister, synced func() bool, options Options) (*Source, error) {
	watcher, err := newWatcher(client, options.PodLabels)
	if err != nil {
		return nil, err
	}
	return &Source{
		options: options, watcher: watcher, miniClusters: miniClusters, synced: synced,
		history: history{harvested: map[types.NamespacedName]float64{}},
	}, nil
}

// Run watches until the context ends.
func (s *Source) Run(ctx context.Context) error {
	s.watcher.run(ctx)
	return nil
}

// Synced reports whether all caches are synced.
func (s *Source) Synced() bool { return s.watcher.hasSynced() && s.synced() }

// PodNames returns the names of the pods in a namespace that have not ended and whose labels match a selector. It
// requires Options.PodLabels.
func (s *Source) PodNames(namespace string, selector labels.Selector) []string {
	return s.watcher.podNames(namespace, selector)
}

// current returns a snapshot that is at most an interval old. It computes it outside of the lock of the state, so that
// events do not wait.
func (s *Source) current() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && time.Since(s.last.at) < s.options.Interval {
		return s.last
	}
	now := newSnapshot(s.watcher.state)
	now.allocate(s.fillers(), func(p *podRecord) bool { return s.history.holdsNothing(p, now.at) })
	if s.Synced() {
		s.last = now
		s.history.next(now, s.exists)
	}
	return now
}

// Custom returns the metrics of the Service and of MiniClusters.
func (s *Source) Custom() []metrics.Info {
	sums := s.current().sumsOf(labels.Everything())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.infos == nil || !slices.Equal(s.infoResources, sums.Names) {
		s.infos, s.infoResources = []metrics.Info{
			{Resource: miniClusters, Metric: MetricSizeFitting}, {Resource: miniClusters, Metric: MetricPodsFitting},
		}, sums.Names
		for name := range sums.Metrics() {
			s.infos = append(s.infos, metrics.Info{Resource: services, Metric: name}, metrics.Info{Resource: miniClusters, Metric: name})
		}
	}
	return s.infos
}

// External returns nil: all metrics describe an object.
func (s *Source) External() []string { return nil }

// ExternalValues returns nil, because there are no external metrics.
func (s *Source) ExternalValues(context.Context, metrics.ExternalQuery) ([]metrics.Value, error) {
	return nil, nil
}

// CustomValues returns values of the Service, which count the nodes that match the selector of the metric, or of
// MiniClusters.
func (s *Source) CustomValues(ctx context.Context, q metrics.Query) ([]metrics.Value, error) {
	if !s.Synced() {
		return nil, apierrors.NewServiceUnavailable("nodes and pods have not been listed yet")
	}
	if q.Resource == services {
		return s.serviceValues(ctx, q)
	}
	return s.miniClusterValues(q)
}

func (s *Source) serviceValues(ctx context.Context, q metrics.Query) ([]metrics.Value, error) {
	// The labels of the Service are unknown.
	if q.Name != DefaultService && (q.Name != "" || !q.Selector.Empty()) {
		return nil, nil
	}
	nodes := q.MetricSelector
	if nodes == nil {
		nodes = labels.Everything()
	}
	if err := s.checkSelector(ctx, nodes); err != nil {
		return nil, err
	}
	snap := s.current()
	value, ok := snap.sumsOf(nodes).Metrics()[q.Metric]
	if !ok {
		return nil, nil
	}
	return []metrics.Value{{Kind: serviceKind, Namespace: q.Namespace, Name: DefaultService, Quantity: value, At: snap.at}}, nil
}

// checkSelector returns an error if a selector selects some nodes, and the user of the request may not list nodes: with
// a selector, one could find out their labels and the load of each.
func (s *Source) checkSelector(ctx context.Context, nodes labels.Selector) error {
	if nodes.Empty() || s.options.MayListNodes == nil {
		return nil
	}
	allowed, err := s.options.MayListNodes(ctx)
	if err != nil {
		return err
	}
	if !allowed {
		return apierrors.NewForbidden(corev1.Resource("nodes"), "", errSelector)
	}
	return nil
}

func (s *Source) miniClusterValues(q metrics.Query) ([]metrics.Value, error) {
	if q.MetricSelector != nil && !q.MetricSelector.Matches(labels.Set{}) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf(
			"metric %s of MiniClusters has no labels: the nodes that count depend on their pods", q.Metric))
	}
	mcs, err := s.selected(q)
	if err != nil {
		return nil, err
	}
	var values []metrics.Value
	var errs []error
	snap := s.current()
	for _, mc := range mcs {
		headroom, err := s.headroom(snap, mc)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		value, ok := headroom.metrics()[q.Metric]
		if q.Metric == MetricSizeFitting || q.Metric == MetricPodsFitting {
			fitting, err := snap.fitting(mc, headroom, q.Metric == MetricSizeFitting)
			if err != nil {
				errs = append(errs, fmt.Errorf("no %s of MiniCluster %s/%s: %w", q.Metric, mc.Namespace, mc.Name, err))
				continue
			}
			value, ok = *resource.NewQuantity(fitting, resource.DecimalSI), true
		}
		if ok {
			values = append(values, metrics.Value{
				Kind: v1alpha2.MiniClusterKind, Namespace: mc.Namespace, Name: mc.Name, Quantity: value, At: snap.at,
			})
		}
	}
	switch {
	case len(values) > 0 || len(errs) == 0:
		return values, nil
	case len(errs) == 1:
		return nil, errs[0] // unchanged, because it may be an API status
	default:
		return nil, errors.Join(errs...)
	}
}

// selected returns the MiniClusters that a query selects.
func (s *Source) selected(q metrics.Query) ([]*v1alpha2.MiniCluster, error) {
	if q.Name == "" {
		mcs, err := s.miniClusters.MiniClusters(q.Namespace).List(q.Selector)
		if err != nil {
			return nil, fmt.Errorf("listing the MiniClusters of namespace %s: %w", q.Namespace, err)
		}
		return mcs, nil
	}
	mc, err := s.miniClusters.MiniClusters(q.Namespace).Get(q.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("getting MiniCluster %s/%s: %w", q.Namespace, q.Name, err)
	}
	return []*v1alpha2.MiniCluster{mc}, nil
}

// Cluster returns the sums of the nodes that a selector matches. The result must not be modified.
func (s *Source) Cluster(nodes labels.Selector) *Sums { return s.current().sumsOf(nodes) }

// headroom returns the headroom of a MiniCluster in a snapshot.
func (s *Source) headroom(snap *snapshot, mc *v1alpha2.MiniCluster) (*headroom, error) {
	w, err := s.workload(mc)
	if err != nil {
		return nil, err
	}
	return snap.headroom(w), nil
}

// fitting returns the size that fits, or the number of pods.
func (s *snapshot) fitting(mc *v1alpha2.MiniCluster, h *headroom, size bool) (int64, error) {
	if size {
		return s.sizeFitting(mc, h)
	}
	if len(h.Uncounted) > 0 {
		return 0, fmt.Errorf("%w: %s", errUncounted, h.Uncounted)
	}
	return h.Fitting, nil
}

// sizeFitting returns the size that fits, within the bounds of a MiniCluster: the controller would reject any
// other size that an autoscaler set.
func (s *snapshot) sizeFitting(mc *v1alpha2.MiniCluster, h *headroom) (int64, error) {
	if len(h.Uncounted) > 0 {
		return 0, fmt.Errorf("%w: %s", errUncounted, h.Uncounted)
	}
	if mc.Spec.Opportunistic == nil {
		return mc.Granted(h.Fitting), nil
	}
	size, err := s.allocatedSize(mc)
	return mc.Granted(size), err
}

// workload returns the pods of a MiniCluster with its reserve.
func (s *Source) workload(mc *v1alpha2.MiniCluster) (*workload, error) {
	name := types.NamespacedName{Namespace: mc.Namespace, Name: mc.Name}
	w, err := s.watcher.workload(mc)
	if err != nil {
		return nil, fmt.Errorf("getting the pods of %s: %w", name, err)
	}
	w.Reserve = s.options.Reserve
	o := mc.Spec.Opportunistic
	if o == nil {
		return &w, nil
	}
	w.Opportunistic = true
	if o.Reserve != nil {
		var resourceName corev1.ResourceName
		if w.Reserve, resourceName, err = reserve.FromShares(o.Reserve); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("spec.opportunistic.reserve[%s] of MiniCluster %s: %v", resourceName, name, err))
		}
		w.ReserveText = fmt.Sprintf("%v", w.Reserve) // differs from no reserve even if it is empty
	}
	return &w, nil
}

// workload returns the pods of a MiniCluster according to its Job.
func (w *watcher) workload(mc *v1alpha2.MiniCluster) (workload, error) {
	obj, exists, err := w.jobs.GetByKey(mc.Namespace + "/" + mc.Name)
	if err != nil {
		return workload{}, fmt.Errorf("getting the Job: %w", err)
	}
	job, ok := obj.(*jobRecord)
	if !exists || !ok || job.owner != mc.UID {
		return workload{}, errNoJob
	}
	return job.workload, nil
}
