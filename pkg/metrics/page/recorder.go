package page

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions/fluxframework/v1alpha2"
	fluxlisters "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/pkg/metrics/fluxsource"
)

// Window is how long the history is.
const Window = time.Hour

// Cluster knows the capacity of the Kubernetes cluster, and metrics of MiniClusters that
// follow from it.
type Cluster interface {
	metrics.Source
	metrics.Runner
	Cluster(nodes labels.Selector) capacity.Sums
}

// Options are what a Recorder is made of.
type Options struct {
	// MiniClusters is started by whoever made it.
	MiniClusters fluxinformers.MiniClusterInformer
	// Flux has the metrics of Flux, Capacity those of the cluster.
	Flux     metrics.Source
	Capacity Cluster
	// Interval is the time from one record to the next.
	Interval time.Duration
	// Replica is what this one of several is called; "" if nobody would know it by that.
	Replica string
}

// Recorder keeps what the page shows. Its memory is bounded: of each MiniCluster and
// each resource it has at most one entry for each interval of the last hour, and none where
// nothing changed.
type Recorder struct {
	options  Options
	clusters fluxlisters.MiniClusterLister
	now      func() time.Time
	synced   func() bool
	// ended is closed when Run returns: nobody records any more.
	ended chan struct{}

	mu sync.RWMutex
	// recorded is when the last record was made, began when the first one was.
	recorded, began time.Time
	// version is another one whenever there is something else to see.
	version uint64
	// next is closed when there is another record.
	next      chan struct{}
	figures   capacity.Figures
	resources map[string]*steps[amounts]
	records   map[types.NamespacedName]*record
	// ordered are the records by namespace and name.
	ordered []*record
	changes map[string][]change
}

// amounts are those of a resource, in its unit.
type amounts struct{ capacity, allocatable, requests, remaining float64 }

// sizes are what is drawn of a MiniCluster; unknown where there is no number.
type sizes struct{ size, demanded, fitting, minimum, maximum int32 }

// unknown stands for a number that there is not.
const unknown int32 = -1

// record is what is known of a MiniCluster.
type record struct {
	types.NamespacedName
	uid types.UID
	sizes
	wanted, ready, running, waiting int32
	state                           state
	history                         steps[sizes]
}

// NewRecorder makes a Recorder. It records while Run runs.
func NewRecorder(o Options) (*Recorder, error) {
	r := &Recorder{
		options: o, clusters: o.MiniClusters.Lister(), now: time.Now, ended: make(chan struct{}), next: make(chan struct{}),
		resources: map[string]*steps[amounts]{}, records: map[types.NamespacedName]*record{}, changes: map[string][]change{},
	}
	registration, err := o.MiniClusters.Informer().AddEventHandler(r.watchChanges())
	if err != nil {
		return nil, fmt.Errorf("watching the changes of MiniClusters: %w", err)
	}
	r.synced = registration.HasSynced
	return r, nil
}

// Run records until the context ends, which is no error. What streams the page then ends.
func (r *Recorder) Run(ctx context.Context) error {
	defer close(r.ended)
	if !cache.WaitForCacheSync(ctx.Done(), r.Synced) {
		return nil
	}
	ticker := time.NewTicker(r.options.Interval)
	defer ticker.Stop()
	for {
		r.record(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Synced tells whether what is recorded is known.
func (r *Recorder) Synced() bool { return r.synced() && r.options.Capacity.Synced() }

// record takes all numbers once.
func (r *Recorder) record(ctx context.Context) {
	all, err := r.clusters.List(labels.Everything())
	if err != nil {
		return // a lister of a cache has no errors
	}
	sums := r.options.Capacity.Cluster(labels.Everything())
	figures := sums.Figures()
	// The sources are asked before the lock is taken: they take a while when there are many.
	taken := make([]record, 0, len(all))
	for _, mc := range all {
		taken = append(taken, r.take(ctx, mc))
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.recorded = r.now()
	if r.began.IsZero() {
		r.began = r.recorded
	}
	oldest := r.recorded.Add(-Window)
	r.figures = figures
	r.keepResources(oldest)
	r.keepRecords(taken, oldest)
	r.forgetChanges(oldest)
	r.version++
	close(r.next)
	r.next = make(chan struct{})
}

// keepResources adds the figures to the histories of the resources.
func (r *Recorder) keepResources(oldest time.Time) {
	for name := range r.resources {
		if _, still := r.figures[name+suffixCapacity]; !still {
			delete(r.resources, name)
		}
	}
	for _, name := range resourcesOf(r.figures) {
		number := func(suffix string) float64 {
			q := r.figures[name+suffix]
			return q.AsApproximateFloat64()
		}
		if r.resources[name] == nil {
			r.resources[name] = &steps[amounts]{}
		}
		r.resources[name].set(r.recorded, oldest, amounts{
			capacity: number(suffixCapacity), allocatable: number(suffixAllocatable), requests: number(suffixRequests), remaining: number(suffixRemaining),
		})
	}
}

// keepRecords replaces the records, and continues their histories.
func (r *Recorder) keepRecords(taken []record, oldest time.Time) {
	records := make(map[types.NamespacedName]*record, len(taken))
	r.ordered = make([]*record, 0, len(taken))
	for i := range taken {
		now := &taken[i]
		if before := r.records[now.NamespacedName]; before != nil && before.uid == now.uid {
			now.history = before.history
		}
		now.history.set(r.recorded, oldest, now.sizes)
		records[now.NamespacedName] = now
		r.ordered = append(r.ordered, now)
	}
	r.records = records
	slices.SortFunc(r.ordered, func(a, b *record) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

// take has the numbers of a MiniCluster, without its history.
func (r *Recorder) take(ctx context.Context, mc *v1alpha2.MiniCluster) record {
	now := record{
		NamespacedName: types.NamespacedName{Namespace: mc.Namespace, Name: mc.Name}, uid: mc.UID,
		sizes: sizes{
			size: mc.Status.Size, demanded: unknown, fitting: unknown, minimum: mc.MinimumSize(), maximum: unknown,
		},
		wanted: mc.RequestedSize(), ready: mc.Status.ReadySize, running: unknown, waiting: unknown,
	}
	if mc.Status.MaximumSize > 0 {
		now.maximum = mc.Status.MaximumSize
	}
	now.state = stateOf(mc)
	now.demanded = r.ask(ctx, r.options.Flux, &now, fluxsource.MetricSizeDemanded)
	if now.demanded != unknown {
		now.running = r.ask(ctx, r.options.Flux, &now, metricRunning)
		now.waiting = r.ask(ctx, r.options.Flux, &now, metricWaiting)
	}
	now.fitting = r.ask(ctx, r.options.Capacity, &now, capacity.MetricSizeFitting)
	return now
}

// Metrics of Flux that the page shows besides size_demanded.
const (
	metricRunning = "job_queue_state_run_count"
	metricWaiting = "job_queue_state_sched_count"
)

// ask is a metric of a MiniCluster, as the metrics API has it. Why there is none is noted.
func (r *Recorder) ask(ctx context.Context, source metrics.Source, of *record, metric string) int32 {
	values, err := source.CustomValues(ctx, metrics.Query{
		Info:      metrics.Info{Resource: v1alpha2.Resource("miniclusters"), Metric: metric},
		Namespace: of.Namespace, Name: of.Name, Selector: labels.Everything(),
	})
	switch {
	case err != nil:
		if reason := errors.Unwrap(err); reason != nil {
			err = reason // which MiniCluster and which metric is said beside it
		}
		if !of.state.over { // one that has ended has no numbers, and nobody wonders
			of.state.note("No " + metric + ": " + err.Error())
		}
		return unknown
	case len(values) != 1:
		return unknown // it has gone in the meantime
	}
	return whole(values[0].Quantity)
}

func whole(q resource.Quantity) int32 {
	return int32(min(max(q.Value(), 0), 1<<30)) //nolint:gosec // bounded
}

// Suffixes of the names of the cluster's figures.
const (
	suffixCapacity    = "_capacity"
	suffixAllocatable = "_allocatable"
	suffixRequests    = "_requests"
	suffixRemaining   = "_remaining"
)

// resourcesOf are the resources of figures, by how the names of their metrics begin: those
// that all nodes have first.
func resourcesOf(figures capacity.Figures) []string {
	first := []string{"cpu", "mem", "pod"}
	var others []string
	for name := range figures {
		if resource, ok := strings.CutSuffix(name, suffixCapacity); ok && !slices.Contains(first, resource) {
			others = append(others, resource)
		}
	}
	slices.Sort(others)
	return append(first, others...)
}
