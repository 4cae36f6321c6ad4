package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	fluxfake "minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
)

// largeRig is a controller whose caches show a MiniCluster of 10,000 pods. It counts the pages of pods that are read.
type largeRig struct {
	t     *testing.T
	c     *Controller
	clock *testclock.FakeClock
	jobs  cache.Store
	job   *batchv1.Job
	pages int
}

func newLargeRig(t *testing.T, size int32) *largeRig {
	t.Helper()
	r := &largeRig{t: t, clock: testclock.NewFakeClock(time.Unix(1_000_000, 0))}
	kube := podPages(t, int(size), &r.pages)
	flux := fluxfake.NewSimpleClientset()
	informers := NewInformers(kube, flux)
	c, err := newController(Options{
		Kube: kube, Flux: flux, Informers: informers, Metrics: testMetrics, Clock: r.clock, PodDiagnosisDelay: 10 * time.Second,
	}, inline{})
	require.NoError(t, err)
	t.Cleanup(c.queue.ShutDown)
	t.Cleanup(c.diagnosisQueue.ShutDown)
	c.diagnosisBudget = flowcontrol.NewFakeAlwaysRateLimiter()
	mc := newMiniCluster("large", 0)
	mc.Namespace, mc.UID = testNamespace, "large"
	require.NoError(t, informers[0].Flux.FluxFramework().V1alpha2().MiniClusters().Informer().GetStore().Add(mc))
	r.c, r.jobs = c, informers[0].Kube.Batch().V1().Jobs().Informer().GetStore()
	r.job = &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: testNamespace, Name: resources.JobName(mc), UID: "job",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(mc, v1alpha2.MiniClusterKind)},
		},
	}
	r.resize(size)
	return r
}

func (r *largeRig) resize(size int32) { r.job.Spec.Parallelism, r.job.Spec.Completions = &size, &size }

// during lets the Job have a state each second for some time, and returns the number of pages that are read.
func (r *largeRig) during(d time.Duration, status func(seconds int32) batchv1.JobStatus) int {
	r.t.Helper()
	before, key := r.pages, cache.NewObjectName(testNamespace, r.job.Name)
	for second := range int32(d / time.Second) {
		job := r.job.DeepCopy()
		job.Status = status(second)
		require.NoError(r.t, r.jobs.Add(job))
		r.c.inspect(r.t.Context(), key)
		r.clock.Step(time.Second)
	}
	return r.pages - before
}

// TestInspectionsOfALargeCluster checks that a cluster that grows or shrinks causes no list of pods, and that one
// that has stopped to grow causes few.
func TestInspectionsOfALargeCluster(t *testing.T) {
	const size = 10_000
	r := newLargeRig(t, size)
	growing := func(second int32) batchv1.JobStatus {
		step := second / 30 * 30 // the Job controller updates a large Job rarely
		return batchv1.JobStatus{Active: min(size, 20*step), Ready: new(min(size, 10*step))}
	}
	assert.Zero(t, r.during(1000*time.Second, growing), "pages while the cluster grows for 17 minutes")

	stuck := func(int32) batchv1.JobStatus { return batchv1.JobStatus{Active: size, Ready: new(int32(size - 1))} }
	pages := r.during(10*time.Minute, stuck)
	assert.GreaterOrEqual(t, pages, size/podPage, "it has stopped")
	assert.LessOrEqual(t, pages, 4*size/podPage)

	r.resize(1)
	shrinking := func(second int32) batchv1.JobStatus {
		active := max(1, size-500*(second/5+1))
		return batchv1.JobStatus{Active: active, Ready: new(active), Terminating: new(min(size-active, max(0, size-10*second)))}
	}
	assert.Zero(t, r.during(1000*time.Second, shrinking), "pages while the cluster shrinks for 17 minutes")
}

// TestNoInspectionsBesideALongQueue: no pods are read while many MiniClusters wait for a sync.
func TestNoInspectionsBesideALongQueue(t *testing.T) {
	r := newLargeRig(t, podPage)
	key := cache.NewObjectName(testNamespace, r.job.Name)
	require.NoError(t, r.jobs.Add(r.job))
	r.c.inspect(t.Context(), key)
	r.clock.Step(time.Hour)
	waiting := newSimQueue(r.clock)
	for i := range diagnosisMaxDepth + 1 {
		waiting.Add(cache.NewObjectName(testNamespace, fmt.Sprint(i)))
	}
	r.c.queue.ShutDown()
	r.c.queue = waiting
	r.c.diagnosisQueue.Add(key)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, r.c.diagnoseNext(ended))
	assert.Zero(t, r.pages)

	waiting.ready = waiting.ready[1:]
	r.c.diagnosisQueue.Add(key)
	require.True(t, r.c.diagnoseNext(t.Context()))
	assert.Equal(t, 1, r.pages, "few wait")
}
