package capacity

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// DefaultService is the name of the Service that metrics of the cluster describe.
const DefaultService = "cluster-metrics"

// ErrNoJob is returned for a MiniCluster that has no Job, so that it isn't known yet what
// its pods need.
var ErrNoJob = errors.New("the MiniCluster has no Job yet")

// ErrUncounted is returned for the number of pods that fit where they hold something that no
// node says it has.
var ErrUncounted = errors.New("no node that counts says how much it has of what its pods hold")

// Options are the settings of a source.
type Options struct {
	// Reserve holds for MiniClusters that don't have the annotation.
	Reserve reserve.Reserve
	// Pools are nodes that have Prometheus metrics of their own, by a name.
	Pools map[string]labels.Selector
	// PodLabels has the labels of all pods kept, for Pods.
	PodLabels bool
}

// Source has metrics of the cluster, which describe a Service, and of each MiniCluster.
// The Service is DefaultService of any namespace, whether it exists or not: an autoscaler can
// name objects of its own namespace only.
type Source struct {
	options      Options
	watcher      *Watcher
	miniClusters listers.MiniClusterLister
	synced       func() bool
}

var (
	_ metrics.Source = (*Source)(nil)
	_ metrics.Runner = (*Source)(nil)

	services     = schema.GroupResource{Resource: "services"}
	miniClusters = v1alpha2.Resource("miniclusters")
	serviceKind  = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
)

// NewSource makes a source that watches the cluster by itself, except for the MiniClusters:
// their lister comes with a function that tells whether it is filled.
func NewSource(client kubernetes.Interface, miniClusters listers.MiniClusterLister, synced func() bool, options Options) (*Source, error) {
	watcher, err := NewWatcher(client, options.PodLabels)
	if err != nil {
		return nil, err
	}
	return &Source{options: options, watcher: watcher, miniClusters: miniClusters, synced: synced}, nil
}

// Run watches until the context ends.
func (s *Source) Run(ctx context.Context) error {
	s.watcher.Run(ctx)
	return nil
}

// Synced tells whether all that exists is known.
func (s *Source) Synced() bool { return s.watcher.HasSynced() && s.synced() }

// Pods returns the names of the pods of a namespace that have not ended and that a selector
// selects. It needs the option PodLabels.
func (s *Source) Pods(namespace string, selector labels.Selector) []string {
	return s.watcher.Pods(namespace, selector)
}

// Custom lists the metrics of the Service and of MiniClusters.
func (s *Source) Custom() []metrics.Info {
	sums := s.Cluster(labels.Everything())
	names := slices.Collect(maps.Keys(sums.Figures()))
	infos := []metrics.Info{{Resource: miniClusters, Metric: MetricSizeFitting}}
	for _, name := range names {
		infos = append(infos, metrics.Info{Resource: services, Metric: name}, metrics.Info{Resource: miniClusters, Metric: name})
	}
	return infos
}

// External is empty: all metrics describe an object.
func (s *Source) External() []string { return nil }

// ExternalValues is never asked, as there are none.
func (s *Source) ExternalValues(context.Context, metrics.ExternalQuery) ([]metrics.Value, error) {
	return nil, nil
}

// CustomValues answers for the Service, of the nodes whose labels the metric's selector
// selects, and for MiniClusters.
func (s *Source) CustomValues(_ context.Context, q metrics.Query) ([]metrics.Value, error) {
	if !s.Synced() {
		return nil, apierrors.NewServiceUnavailable("nodes and pods have not been counted yet")
	}
	if q.Resource == services {
		return s.serviceValues(q), nil
	}
	return s.miniClusterValues(q)
}

func (s *Source) serviceValues(q metrics.Query) []metrics.Value {
	// Nothing is known of the Service's labels.
	if q.Name != DefaultService && (q.Name != "" || !q.Selector.Empty()) {
		return nil
	}
	nodes := q.MetricSelector
	if nodes == nil {
		nodes = labels.Everything()
	}
	sums := s.Cluster(nodes)
	value, ok := sums.Figures()[q.Metric]
	if !ok {
		return nil
	}
	return []metrics.Value{{Kind: serviceKind, Namespace: q.Namespace, Name: DefaultService, Quantity: value, At: time.Now()}}
}

func (s *Source) miniClusterValues(q metrics.Query) ([]metrics.Value, error) {
	if q.MetricSelector != nil && !q.MetricSelector.Matches(labels.Set{}) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf(
			"metric %s of MiniClusters has no labels to select by: which nodes count follows from their pods", q.Metric))
	}
	mcs, err := s.selected(q)
	if err != nil {
		return nil, err
	}
	var values []metrics.Value
	views, errs := s.views(mcs)
	for mc, view := range views {
		value, ok := view.Figures()[q.Metric]
		if !ok {
			continue
		}
		if q.Metric == MetricSizeFitting && len(view.Uncounted) > 0 {
			errs = append(errs, fmt.Errorf("no %s of MiniCluster %s/%s: %w: %s", q.Metric, mc.Namespace, mc.Name, ErrUncounted, view.Uncounted))
			continue
		}
		values = append(values, metrics.Value{
			Kind: v1alpha2.SchemeGroupVersion.WithKind("MiniCluster"), Namespace: mc.Namespace, Name: mc.Name, Quantity: value, At: time.Now(),
		})
	}
	switch {
	case len(values) > 0 || len(errs) == 0:
		return values, nil
	case len(errs) == 1:
		return nil, errs[0] // as it is: it may be a status of the API
	default:
		return nil, errors.Join(errs...)
	}
}

// selected are the MiniClusters that a query is about.
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

// Cluster has the sums of the nodes that a selector selects.
func (s *Source) Cluster(nodes labels.Selector) Sums { return s.watcher.state.Sums(nodes) }

// views are what MiniClusters see, all at the same moment and in their order, with numbers
// of pods that they would be granted. Those that can't be answered for are left out; the
// errors say why.
func (s *Source) views(mcs []*v1alpha2.MiniCluster) (iter.Seq2[*v1alpha2.MiniCluster, *View], []error) {
	var errs []error
	var answered []*v1alpha2.MiniCluster
	var apps []*Application
	for _, mc := range mcs {
		app, err := s.application(mc)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		answered, apps = append(answered, mc), append(apps, app)
	}
	views := s.watcher.state.Views(apps)
	return func(yield func(*v1alpha2.MiniCluster, *View) bool) {
		for i, mc := range answered {
			// Not what doesn't fit or is too much: an autoscaler that asked for it would be
			// denied each time.
			views[i].Fitting = mc.Granted(views[i].Fitting)
			if !yield(mc, &views[i]) {
				return
			}
		}
	}, errs
}

// application is what is known of a MiniCluster's pods, with its reserve.
func (s *Source) application(mc *v1alpha2.MiniCluster) (*Application, error) {
	name := types.NamespacedName{Namespace: mc.Namespace, Name: mc.Name}
	app, err := s.watcher.application(mc)
	if err != nil {
		return nil, fmt.Errorf("looking for the pods of %s: %w", name, err)
	}
	app.Reserve = s.options.Reserve
	if text, ok := mc.Annotations[v1alpha2.AnnotationCapacityReserve]; ok {
		if app.Reserve, err = reserve.Parse(text); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("annotation %s of MiniCluster %s: %v", v1alpha2.AnnotationCapacityReserve, name, err))
		}
	}
	return &app, nil
}

// application is what the Job of a MiniCluster says about its pods.
func (w *Watcher) application(mc *v1alpha2.MiniCluster) (Application, error) {
	obj, exists, err := w.jobs.GetByKey(mc.Namespace + "/" + mc.Name)
	if err != nil {
		return Application{}, fmt.Errorf("getting the Job: %w", err)
	}
	job, ok := obj.(*template)
	if !exists || !ok || job.owner != mc.UID {
		return Application{}, ErrNoJob
	}
	return job.app, nil
}
