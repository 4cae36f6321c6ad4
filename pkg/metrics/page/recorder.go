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

// window is the length of the history.
const window = time.Hour

// clusterSource provides the capacity of the Kubernetes cluster and metrics of MiniClusters that are based on
// it.
type clusterSource interface {
	metrics.Source
	metrics.Runner
	Cluster(nodes labels.Selector) *capacity.Sums
	Overview() capacity.Overview
}

// Options configure a Recorder.
type Options struct {
	// MiniClusters is started by the caller.
	MiniClusters fluxinformers.MiniClusterInformer
	// Flux provides metrics of Flux, Capacity those of the cluster.
	Flux     metrics.Source
	Capacity clusterSource
	// Interval between two records.
	Interval time.Duration
	// Replica is the name of this replica, or "" if it is unknown.
	Replica string
}

// idleInterval is the interval between two records while the page has no readers, and idleAfter the time after which
// that applies. The history is then coarser, and the first reader gets a new record.
const (
	idleInterval = time.Minute
	idleAfter    = 2 * time.Minute
)

// Recorder keeps the data of the page. Its memory is bounded: it keeps at most one entry for each
// MiniCluster or resource and interval of the last hour, and none if nothing changed.
type Recorder struct {
	options  Options
	clusters fluxlisters.MiniClusterLister
	now      func() time.Time
	synced   func() bool
	// ended is closed when Run returns.
	ended chan struct{}
	// recording prevents concurrent records.
	recording sync.Mutex

	mu sync.RWMutex
	// lastRead is the time at which the page was last read.
	lastRead time.Time
	// recorded is the time of the last record, began that of the first one.
	recorded, began time.Time
	// version changes whenever the content of the page changes.
	version uint64
	// next is closed at the next record.
	next      chan struct{}
	cluster   capacity.Metrics
	overview  capacity.Overview
	resources map[string]*steps[amounts]
	records   map[types.NamespacedName]*record
	// ordered contains the records, sorted by namespace and name.
	ordered []*record
	changes map[string][]change
}

// amounts of a resource, in its unit.
type amounts struct{ capacity, allocatable, requests, remaining float64 }

// sizes are the values in the chart of a MiniCluster.
type sizes struct{ size, demanded, fitting, minimum, maximum int32 }

// unknown represents an unknown value.
const unknown int32 = -1

// record contains the values of a MiniCluster and their history.
type record struct {
	types.NamespacedName
	uid types.UID
	sizes
	wanted, ready, running, waiting int32
	// room is the number of pods that fit, regardless of the bounds.
	room    int32
	state   state
	history steps[sizes]
}

// NewRecorder returns a Recorder. It records while Run runs.
func NewRecorder(o Options) (*Recorder, error) {
	r := &Recorder{
		options: o, clusters: o.MiniClusters.Lister(), now: time.Now, ended: make(chan struct{}), next: make(chan struct{}),
		resources: map[string]*steps[amounts]{}, records: map[types.NamespacedName]*record{}, changes: map[string][]change{},
	}
	registration, err := o.MiniClusters.Informer().AddEventHandler(r.watchChanges())
	if err != nil {
		return nil, fmt.Errorf("watching MiniClusters: %w", err)
	}
	r.synced = registration.HasSynced
	return r, nil
}

// Run records until the context ends, which is not an error. Then all streams end.
func (r *Recorder) Run(ctx context.Context) error {
	defer close(r.ended)
	if !cache.WaitForCacheSync(ctx.Done(), r.Synced) {
		return nil
	}
	ticker := time.NewTicker(r.options.Interval)
	defer ticker.Stop()
	for {
		if r.due() {
			r.record(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// due reports whether it is time for a record. Without readers, records are rare.
func (r *Recorder) due() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	now := r.now()
	return now.Sub(r.lastRead) <= idleAfter || now.Sub(r.recorded) >= idleInterval-r.options.Interval/2
}

// read must be called when the page is read. If the last record is old, it takes another one.
func (r *Recorder) read(ctx context.Context) {
	now := r.now()
	r.mu.Lock()
	r.lastRead = now
	stale := !r.recorded.IsZero() && now.Sub(r.recorded) > 2*r.options.Interval
	r.mu.Unlock()
	if stale {
		r.record(ctx)
	}
}

// Synced reports whether the caches are synced.
func (r *Recorder) Synced() bool { return r.synced() && r.options.Capacity.Synced() }

// record reads all values once.
func (r *Recorder) record(ctx context.Context) {
	r.recording.Lock()
	defer r.recording.Unlock()
	all, err := r.clusters.List(labels.Everything())
	if err != nil {
		return // listing a cache does not fail
	}
	sums := r.options.Capacity.Cluster(labels.Everything())
	cluster := sums.Metrics()
	overview := r.options.Capacity.Overview()
	// Query the sources without the lock: it takes a while if there are many MiniClusters.
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
	oldest := r.recorded.Add(-window)
	r.cluster, r.overview = cluster, overview
	r.keepResources(oldest)
	r.keepRecords(taken, oldest)
	r.forgetChanges(oldest)
	r.version++
	close(r.next)
	r.next = make(chan struct{})
}

// keepResources adds the metrics of the cluster to the histories of resources.
func (r *Recorder) keepResources(oldest time.Time) {
	for name := range r.resources {
		if _, still := r.cluster[name+suffixCapacity]; !still {
			delete(r.resources, name)
		}
	}
	for _, name := range resourcesOf(r.cluster) {
		number := func(suffix string) float64 {
			q := r.cluster[name+suffix]
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

// keepRecords replaces the records and continues their histories.
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

// take returns the values of a MiniCluster without their history.
func (r *Recorder) take(ctx context.Context, mc *v1alpha2.MiniCluster) record {
	now := record{
		NamespacedName: types.NamespacedName{Namespace: mc.Namespace, Name: mc.Name}, uid: mc.UID,
		sizes: sizes{
			size: mc.Status.Size, demanded: unknown, fitting: unknown, minimum: mc.MinimumSize(), maximum: unknown,
		},
		wanted: mc.RequestedSize(), ready: mc.Status.ReadySize, running: unknown, waiting: unknown, room: unknown,
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
	if now.fitting != unknown {
		now.room = r.ask(ctx, r.options.Capacity, &now, capacity.MetricPodsFitting)
	}
	return now
}

// Metrics of Flux that the page shows in addition to size_demanded.
const (
	metricRunning = "job_queue_state_run_count"
	metricWaiting = "job_queue_state_sched_count"
)

// ask returns the value of a metric of a MiniCluster from a source. It adds a note if it is unknown.
func (r *Recorder) ask(ctx context.Context, source metrics.Source, of *record, metric string) int32 {
	values, err := source.CustomValues(ctx, metrics.Query{
		Info:      metrics.Info{Resource: v1alpha2.Resource("miniclusters"), Metric: metric},
		Namespace: of.Namespace, Name: of.Name, Selector: labels.Everything(),
	})
	switch {
	case err != nil:
		if reason := errors.Unwrap(err); reason != nil {
			err = reason // the row already contains the MiniCluster and the metric
		}
		if !of.state.over { // a finished MiniCluster has no metrics
			of.state.note("No " + metric + ": " + err.Error())
			of.state.problem = of.state.problem || of.state.tone == toneGood
		}
		return unknown
	case len(values) != 1:
		return unknown // it has been deleted meanwhile
	}
	return whole(values[0].Quantity)
}

func whole(q resource.Quantity) int32 {
	return int32(min(max(q.Value(), 0), 1<<30)) //nolint:gosec // bounded
}

// Suffixes of the names of metrics of the cluster.
const (
	suffixCapacity    = "_capacity"
	suffixAllocatable = "_allocatable"
	suffixRequests    = "_requests"
	suffixRemaining   = "_remaining"
)

// resourcesOf returns the resources in the metrics of the cluster, as prefixes of metric names. The
// standard resources come first.
func resourcesOf(cluster capacity.Metrics) []string {
	first := []string{"cpu", "mem", "pod"}
	var others []string
	for name := range cluster {
		if resource, ok := strings.CutSuffix(name, suffixCapacity); ok && !slices.Contains(first, resource) {
			others = append(others, resource)
		}
	}
	slices.Sort(others)
	return append(first, others...)
}
