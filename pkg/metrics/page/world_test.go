package page

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxfake "minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions"
	"minicluster.internal/operator/pkg/metrics"
	"minicluster.internal/operator/pkg/metrics/capacity"
)

// world is a recorder with fake sources and a fake clock.
type world struct {
	*Recorder
	elapsed  atomic.Int64 // since begin; handlers read it concurrently
	sums     capacity.Sums
	overview capacity.Overview
	numbers  map[string]int64 // NAMESPACE/NAME/METRIC
	synced   bool
}

var begin = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{numbers: map[string]int64{}, synced: true}
	informers := fluxinformers.NewSharedInformerFactory(fluxfake.NewSimpleClientset(), 0)
	r, err := NewRecorder(Options{
		MiniClusters: informers.FluxFramework().V1alpha2().MiniClusters(), Flux: w, Capacity: w, Interval: 5 * time.Second,
	})
	require.NoError(t, err)
	r.now = w.at
	r.synced = func() bool { return true }
	w.Recorder = r
	return w
}

func (w *world) Run(context.Context) error { return nil }
func (w *world) Synced() bool              { return w.synced }
func (w *world) Custom() []metrics.Info    { return nil }
func (w *world) External() []string        { return nil }
func (w *world) ExternalValues(context.Context, metrics.ExternalQuery) ([]metrics.Value, error) {
	return nil, nil
}
func (w *world) Cluster(labels.Selector) *capacity.Sums { return &w.sums }
func (w *world) Overview() capacity.Overview            { return w.overview }

func (w *world) CustomValues(_ context.Context, q metrics.Query) ([]metrics.Value, error) {
	n, ok := w.numbers[q.Namespace+"/"+q.Name+"/"+q.Metric]
	if !ok {
		return nil, fmt.Errorf("no %s of MiniCluster %s/%s: %w", q.Metric, q.Namespace, q.Name, errors.New("its agent does not answer <in time>"))
	}
	return []metrics.Value{{Quantity: *resource.NewQuantity(n, resource.DecimalSI)}}, nil
}

// put adds or replaces a MiniCluster, like an informer.
func (w *world) put(t testing.TB, mc *v1alpha2.MiniCluster) {
	t.Helper()
	store := w.options.MiniClusters.Informer().GetStore()
	before, exists, err := store.Get(mc)
	require.NoError(t, err)
	require.NoError(t, store.Add(mc.DeepCopy()))
	if exists {
		w.watchChanges().OnUpdate(before, mc.DeepCopy())
	} else {
		w.watchChanges().OnAdd(mc.DeepCopy(), w.recorded.IsZero())
	}
}

// at returns a time of the fake clock.
func (w *world) at() time.Time { return begin.Add(time.Duration(w.elapsed.Load())) }

func (w *world) after(d time.Duration) {
	w.elapsed.Add(int64(d))
	w.record(context.Background())
}

func (w *world) say(cluster string, demanded, running, waiting, fitting int64) {
	for metric, n := range map[string]int64{
		"size_demanded": demanded, metricRunning: running, metricWaiting: waiting, "size_fitting": fitting, "pods_fitting": fitting,
	} {
		w.numbers[cluster+"/"+metric] = n
	}
}

func cluster(namespace, name string, size, maximum int32) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name)}}
	mc.Spec.Size = new(size)
	mc.Status.Size, mc.Status.ReadySize, mc.Status.MaximumSize = size, size, maximum
	set(mc, v1alpha2.ConditionReady, true, v1alpha2.ReasonReady, "")
	return mc
}

func resized(mc *v1alpha2.MiniCluster, size int32) *v1alpha2.MiniCluster {
	mc = mc.DeepCopy()
	mc.Spec.Size = new(size)
	mc.Status.Size, mc.Status.ReadySize = size, size
	return mc
}

func set(mc *v1alpha2.MiniCluster, kind string, on bool, reason, message string) {
	status := metav1.ConditionFalse
	if on {
		status = metav1.ConditionTrue
	}
	for i := range mc.Status.Conditions {
		if c := &mc.Status.Conditions[i]; c.Type == kind {
			c.Status, c.Reason, c.Message = status, reason, message
			return
		}
	}
	mc.Status.Conditions = append(mc.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

func nodes(n int, cores, gib, pods int64) capacity.Sums {
	all := capacity.Resources{CPU: 1000 * cores, Memory: gib << 30, Pods: pods}
	names := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods, "nvidia.com/gpu"}
	return capacity.Sums{Nodes: n, Capacity: all, Allocatable: all.Clone(), Names: names}
}

// everything is a scope without restrictions.
func everything() scope {
	return scope{may: func(string) bool { return true }, capacity: true}
}

// tutorial simulates half an hour of the scenario of docs/opportunistic.md, with a few more MiniClusters.
func tutorial(t testing.TB) *world {
	w := newWorld(t)
	w.sums = nodes(6, 184, 480, 660)
	w.sums.Allocatable.Memory -= 614400 << 10
	gpu := corev1.ResourceName("nvidia.com/gpu")
	w.sums.Capacity.Set(gpu, 8)
	w.sums.Allocatable.Set(gpu, 8)
	w.sums.Requests.Set(gpu, 2)

	filler := cluster("batch", "filler", 1, 184)
	solver := cluster("lab", "solver", 4, 8)
	solver.Spec.MinSize = 2
	old := cluster("lab", "old", 0, 4)
	set(old, v1alpha2.ConditionComplete, true, v1alpha2.ReasonComplete, "")
	young := cluster("lab", "young", 0, 2)
	set(young, v1alpha2.ConditionReady, false, v1alpha2.ReasonPulling, "")
	set(young, v1alpha2.ConditionProgressing, true, v1alpha2.ReasonPulling, "pod young-0 pulls image <registry>/flux&co")

	hold := func(pods int32, paying int64) {
		w.sums.Requests.CPU, w.sums.Requests.Pods = 870+1000*int64(pods)+4000*paying, int64(pods)+paying+24
		w.sums.Requests.Memory = (int64(pods)*2 + paying*8 + 6) << 30
		w.say("batch/filler", int64(pods), int64(pods), 0, 153-4*paying)
	}
	hold(1, 0)
	w.say("lab/solver", 4, 2, 0, 12)
	for _, mc := range []*v1alpha2.MiniCluster{filler, solver, old, young} {
		w.put(t, mc)
	}
	w.after(0)
	for i, s := range []struct {
		size   int32
		paying int64
	}{{1, 0}, {153, 0}, {153, 0}, {125, 7}, {85, 17}, {85, 17}, {85, 17}, {121, 8}, {153, 0}, {153, 0}} {
		filler = resized(filler, s.size)
		w.put(t, filler)
		hold(s.size, s.paying)
		if i == 4 {
			refused := resized(solver, 4)
			refused.Spec.Size = new(int32(12))
			w.put(t, refused)
			set(solver, v1alpha2.ConditionScalingLimited, true, v1alpha2.ReasonAboveMaximum, "size 12 is above the maximum 8; it stays 4")
			w.put(t, solver)
			w.say("lab/solver", 8, 2, 6, 12)
		}
		if i == 6 {
			solver = resized(solver, 8)
			set(solver, v1alpha2.ConditionScalingLimited, false, v1alpha2.ReasonWithinBounds, "")
			w.put(t, solver)
			w.say("lab/solver", 8, 8, 0, 12)
		}
		w.after(3 * time.Minute)
	}
	return w
}
