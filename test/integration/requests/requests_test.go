package requests_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/legacyregistry"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// One MiniCluster from its creation to its deletion, request by request.
func TestOneMiniCluster(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, step := range []struct {
		name string
		do   func()
		size int32
		want counts
	}{
		{"create", func() { f.create("one", 2, 4) }, 2, counts{
			"create services": 1, "create secrets": 1, "create configmaps": 1, "create jobs": 1, statusWrite: 2, eventWrite: 1,
		}},
		{"grow", func() { f.SetSize("one", 4) }, 4, counts{"patch jobs": 1, statusWrite: 2, eventWrite: 1}},
		{"the same size again", func() { f.SetSize("one", 4) }, 4, counts{}},
		{"above the maximum", func() { f.SetSize("one", 5) }, 4, counts{"patch miniclusters": 2, statusWrite: 1, eventWrite: 1}},
		{"below the minimum", func() { f.SetSize("one", 0) }, 4, counts{"patch miniclusters": 2, statusWrite: 1, eventWrite: 1}},
		{"a label", func() { f.label("one") }, 4, counts{}},
	} {
		log := f.Audit()
		step.do()
		f.reach("one", step.size, 0)
		f.assertCounted(log, step.want, step.name)
	}

	log := f.Audit()
	require.NoError(t, f.MiniClusters().Delete(t.Context(), "one", metav1.DeleteOptions{}))
	f.Eventually("the garbage collector", func(ctx context.Context) (string, error) {
		pods, err := f.Cluster.Client().CoreV1().Pods(f.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) > 0 {
			return fmt.Sprintf("%d pods are left", len(pods.Items)), err
		}
		return "", nil
	})
	f.assertDeletion(log, counts{})
}

// Auxiliary objects of a MiniCluster cost only their creation.
func TestBeside(t *testing.T) {
	// Not parallel: volumes are cluster-scoped.
	f := newFixture(t)
	log := f.Audit()
	f.create("beside", 2, 4, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].RunFlux = true
		mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: "nginx", Image: "nginx", Ports: []int32{80}})
		mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry"}}
		mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{
			"data": {Path: "/unused", StorageClass: "buckets", Driver: "bucket.csi.example", Secret: "keys"},
		}
	})
	f.reach("beside", 2, 0)
	f.assertCounted(log, counts{
		"create services": 2, "create secrets": 1, "create configmaps": 1, "create jobs": 1, "create pods": 1,
		// The first volume is also created as a trial, before the finalizer is set.
		"patch miniclusters": 1, "create persistentvolumes": 2, "create persistentvolumeclaims": 1, statusWrite: 2, eventWrite: 1,
	}, "create")

	log = f.Audit()
	f.SetSize("beside", 4)
	f.reach("beside", 4, 0)
	f.assertCounted(log, counts{"patch jobs": 1, statusWrite: 2, eventWrite: 1}, "grow")

	log = f.Audit()
	require.NoError(t, f.MiniClusters().Delete(t.Context(), "beside", metav1.DeleteOptions{}))
	f.Eventually("the volume to go", func(ctx context.Context) (string, error) {
		volumes, err := f.Cluster.Client().CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{LabelSelector: v1alpha2.LabelName + "=beside"})
		if err != nil || len(volumes.Items) > 0 {
			return "it is still there", err
		}
		return "", nil
	})
	f.assertDeletion(log, counts{"list persistentvolumes": 1, "delete persistentvolumes": 1, "patch miniclusters": 1})
}

func (f *fixture) label(name string) {
	f.Helper()
	f.Patch(name, map[string]any{"metadata": map[string]any{"labels": map[string]any{"of": "no-interest"}}})
}

// A shrink below the quorum costs one more write, and pods that terminate slowly cost none.
func TestShrink(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("shrunk", 4, 4, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.MinSize = 2
		mc.Spec.Pod.Annotations[cluster.AnnotationTerminateAfter] = "1h"
	})
	f.settle("shrunk", 4)

	for _, step := range []struct {
		size int32
		want counts
	}{
		// Pods are listed, and the agent is contacted once.
		{3, counts{"list pods": 1, "get secrets": 1, "patch jobs": 1, eventWrite: 2}},
		{2, counts{"list pods": 1, "patch jobs": 1, eventWrite: 2}},
	} {
		log := f.Audit()
		f.SetSize("shrunk", step.size)
		f.reach("shrunk", step.size, 0)
		f.assertWithStatus(log, step.want)
	}
}

// The quorum of a cluster without a minimum is its first size.
func TestShrinkBelowTheQuorum(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("quorum", 3, 4, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod.Annotations[cluster.AnnotationTerminateAfter] = "1h"
	})
	f.settle("quorum", 3)
	log := f.Audit()
	f.SetSize("quorum", 1)
	f.reach("quorum", 1, 0)
	f.assertWithStatus(log, counts{"list pods": 1, "get secrets": 1, "patch configmaps": 1, "patch jobs": 1, eventWrite: 2})
}

// Drained ranks are undrained before they are added again: that takes the agent, and no further request. A shrink
// that does not wait sends no request to the agent.
func TestShrinkAndGrow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("elastic", 3, 4)
	f.settle("elastic", 3)
	for _, step := range []struct {
		name string
		do   func()
		size int32
		want counts
	}{
		{"shrink", func() { f.SetSize("elastic", 2) }, 2, counts{
			"list pods": 1, "get secrets": 1, "patch configmaps": 1, "patch jobs": 1, eventWrite: 2,
		}},
		{"grow", func() { f.SetSize("elastic", 4) }, 4, counts{"patch jobs": 1, eventWrite: 1}},
		{"a timeout of 0", func() {
			f.Clients.Patch(t, "elastic", map[string]any{"spec": map[string]any{"size": 1, "scaleDown": map[string]any{"drainTimeoutSeconds": 0}}})
		}, 1, counts{"patch configmaps": 1, "patch jobs": 1, eventWrite: 1}},
	} {
		log := f.Audit()
		step.do()
		f.reach("elastic", step.size, 0)
		f.has(log, step.want)
		f.awaitSilence()
		got := f.counted(log)
		// Four, as far as it depends on the controller. The Job controller reports pods that are created and end in one
		// step or in several.
		assert.LessOrEqual(t, got[statusWrite], 8, step.name)
		delete(got, statusWrite)
		assert.Equal(t, step.want, got, step.name)
	}
	assert.Equal(t, []int{2, 4}, agents.Of("elastic").Sizes())
}

// assertWithStatus compares requests, except that the number of writes of the status depends on when pods end: one
// when ranks are drained, one for the decision, and the others paced.
func (f *fixture) assertWithStatus(log *cluster.AuditLog, want counts) {
	f.Helper()
	f.has(log, want)
	f.awaitSilence()
	got := f.counted(log)
	assert.Positive(f, got[statusWrite])
	f.assertPaced(log, 2)
	delete(got, statusWrite)
	assert.Equal(f, want, got)
}

// Pods that become ready and unready cost at most one write a second for each MiniCluster, whatever their number.
func TestReadinessIsBatched(t *testing.T) {
	t.Parallel()
	const fleet, size = 5, 6
	f := newFixture(t)
	for i := range fleet {
		f.create(fmt.Sprintf("ready-%d", i), size, size)
	}
	for i := range fleet {
		f.created(fmt.Sprintf("ready-%d", i), size)
	}
	f.awaitSilence()
	pods, err := f.Cluster.Client().CoreV1().Pods(f.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, fleet*size)

	log := f.Audit()
	for _, ready := range []bool{true, false, true, false, true} {
		for _, pod := range pods.Items {
			require.NoError(t, f.Cluster.SetPodReady(t.Context(), f.Namespace, pod.Name, ready))
		}
	}
	for i := range fleet {
		f.reach(fmt.Sprintf("ready-%d", i), size, size)
	}
	f.awaitSilence()
	f.assertPaced(log, 0)
	got := f.counted(log)
	t.Logf("%d changes of readiness cost %d writes of %d statuses", 5*len(pods.Items), got[statusWrite], fleet)
	assert.Equal(t, counts{statusWrite: got[statusWrite]}, got)
	assert.GreaterOrEqual(t, got[statusWrite], fleet)
}

// Many MiniClusters are created without a read, and then cost nothing.
func TestFleet(t *testing.T) {
	// Not parallel: other tests' MiniClusters would pass through the queue.
	const fleet = 200
	const window = 20 * time.Second
	f := newFixture(t)
	log := f.Audit()
	for i := range fleet {
		f.create(fmt.Sprintf("idle-%d", i), 1, 1)
	}
	for i := range fleet {
		name := fmt.Sprintf("idle-%d", i)
		f.Eventually("MiniCluster "+name, func(ctx context.Context) (string, error) {
			mc, err := f.MiniClusters().Get(ctx, name, metav1.GetOptions{})
			if err != nil || mc.Status.Size != 1 {
				return "it has no pod yet", err
			}
			return "", nil
		})
	}
	want := counts{
		"create services": fleet, "create secrets": fleet, "create configmaps": fleet, "create jobs": fleet, eventWrite: fleet,
	}
	f.has(log, want)
	f.awaitSilence()
	made := f.counted(log)
	assert.Empty(t, made.reads())
	want[statusWrite] = made[statusWrite]
	assert.Equal(t, want, made)
	// At most two for each: that its objects exist, and its pod. On a busy machine the Job controller may report that
	// in two steps.
	assert.LessOrEqual(t, made[statusWrite], 2*fleet+fleet/10)

	before := f.awaitIdleQueue()
	log = f.Audit()
	select {
	case <-time.After(window):
	case <-t.Context().Done():
	}
	all, err := log.Requests(user.Controller)
	require.NoError(t, err)
	all = slices.DeleteFunc(all, func(r cluster.Request) bool { return r.Resource == "leases" || ofWatch(r) })
	assert.Empty(t, all, "the cost of %d idle MiniClusters in %s", fleet, window)
	assert.Equal(t, before, workqueue(t), "work while idle")
	assert.Zero(t, before["workqueue_depth"], "work left")
}

// A MiniCluster that grows to 60 pods and shrinks costs as many writes as a small one, and more only for its status,
// at most one in three seconds.
func TestLargeMiniCluster(t *testing.T) {
	// Not parallel: its pods would delay those of other tests.
	const size = 60
	f := newFixture(t)
	f.create("large", 1, size)
	f.settle("large", 1)
	resize := func(to int32, reads counts) {
		log, begin := f.Audit(), time.Now()
		f.SetSize("large", to)
		f.reach("large", to, 0)
		want := counts{"patch jobs": 1}
		maps.Copy(want, reads)
		f.has(log, want)
		f.awaitSilence()
		took := time.Since(begin)
		made := f.counted(log)
		want[eventWrite], want[statusWrite] = made[eventWrite], made[statusWrite]
		assert.Equal(t, want, made, "size %d", to)
		assert.LessOrEqual(t, made[eventWrite], 2, "size %d", to)
		assert.LessOrEqual(t, made[statusWrite], 3+int(took/(3*time.Second)), "size %d in %s", to, took)
	}
	resize(size, nil)
	resize(1, counts{"list pods": 1, "get secrets": 1})
}

// awaitIdleQueue waits until nothing has been added to the controller's queue for longer than any delay.
func (f *fixture) awaitIdleQueue() map[string]float64 {
	f.Helper()
	const lull = 15 * time.Second
	now, since := workqueue(f.T), time.Now()
	f.Eventually("an idle queue", func(context.Context) (string, error) {
		before := now
		if now = workqueue(f.T); !maps.Equal(now, before) {
			since = time.Now()
		}
		if time.Since(since) < lull {
			return fmt.Sprint(now), nil
		}
		return "", nil
	})
	return now
}

// workqueue returns the metrics of the controller's queue: its depth and the total of added keys.
func workqueue(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() != "name" || label.GetValue() != "minicluster" {
					continue
				}
				switch name := family.GetName(); name {
				case "workqueue_depth":
					values[name] = metric.GetGauge().GetValue()
				case "workqueue_adds_total":
					values[name] = metric.GetCounter().GetValue()
				}
			}
		}
	}
	require.Len(t, values, 2, "the metrics of the queue")
	return values
}
