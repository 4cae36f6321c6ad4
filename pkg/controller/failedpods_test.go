package controller

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// failedPod returns a failed pod that its Job has not replaced yet.
func failedPod(name, index string, modify ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: testNamespace, Finalizers: []string{batchv1.JobTrackingFinalizer},
			Labels:          map[string]string{v1alpha2.LabelHPASelector: "mc"},
			Annotations:     map[string]string{batchv1.JobCompletionIndexAnnotation: index},
			OwnerReferences: []metav1.OwnerReference{{UID: "job", Controller: new(true)}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodFailed},
	}
	for _, m := range modify {
		m(pod)
	}
	return pod
}

func TestFailedPodsAreNotReady(t *testing.T) {
	for name, tc := range map[string]struct {
		pods          []*corev1.Pod
		active, ready int32
		want          [2]int32
	}{
		"none":                            {active: 4, ready: 4, want: [2]int32{4, 4}},
		"one":                             {[]*corev1.Pod{failedPod("a", "1")}, 4, 4, [2]int32{3, 3}},
		"the Job counts it":               {[]*corev1.Pod{failedPod("a", "1")}, 3, 3, [2]int32{3, 3}},
		"fewer are ready":                 {[]*corev1.Pod{failedPod("a", "1")}, 4, 2, [2]int32{3, 2}},
		"all":                             {[]*corev1.Pod{failedPod("a", "0"), failedPod("b", "1"), failedPod("c", "2"), failedPod("d", "3")}, 4, 4, [2]int32{0, 0}},
		"replaced":                        {[]*corev1.Pod{failedPod("a", "1", func(p *corev1.Pod) { p.Finalizers = nil })}, 4, 4, [2]int32{4, 4}},
		"of an index beyond the size":     {[]*corev1.Pod{failedPod("a", "4")}, 4, 4, [2]int32{4, 4}},
		"of another Job":                  {[]*corev1.Pod{failedPod("a", "1", func(p *corev1.Pod) { p.OwnerReferences[0].UID = "old" })}, 4, 4, [2]int32{4, 4}},
		"without an index":                {[]*corev1.Pod{failedPod("a", "")}, 4, 4, [2]int32{4, 4}},
		"labelled by a user, of no owner": {[]*corev1.Pod{failedPod("a", "1", func(p *corev1.Pod) { p.OwnerReferences = nil })}, 4, 4, [2]int32{4, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			failed := cache.NewIndexer(cache.MetaNamespaceKeyFunc, leadIndexers())
			for _, pod := range tc.pods {
				trimmed, err := failedOnly(pod)
				require.NoError(t, err)
				require.NoError(t, failed.Add(trimmed))
			}
			c := &Controller{caches: map[string]*caches{testNamespace: {failed: failed}}}
			job := &batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{Name: "mc", Namespace: testNamespace, UID: types.UID("job")},
				Spec:       batchv1.JobSpec{Parallelism: new(int32(4))},
				Status:     batchv1.JobStatus{Active: tc.active, Ready: new(tc.ready)},
			}
			before := job.DeepCopy()
			got := c.withoutFailedPods(cache.NewObjectName(testNamespace, "mc"), job)
			assert.Equal(t, tc.want, [2]int32{got.Status.Active, *got.Status.Ready})
			assert.Equal(t, before, job, "the cache's Job is not changed")
		})
	}
}

// Servers that count failed pods are not asked for them.
func TestFailedPodsAreListedOnOldServersOnly(t *testing.T) {
	client := fake.NewClientset()
	c := &Controller{kube: client, caches: map[string]*caches{testNamespace: {}}}
	for _, minor := range []int{0, minorFailedPodsCounted, minorFailedPodsCounted + 1} {
		c.environment.ServerMinor = minor
		require.NoError(t, c.watchFailedPods(t.Context(), nil))
		assert.Nil(t, c.caches[testNamespace].failed, "minor version %d", minor)
	}
	assert.Empty(t, client.Actions())
}

// The cache keeps of a pod that fails later only what the controller reads, as of those that are listed first.
func TestFailedPodsAreTrimmed(t *testing.T) {
	full := func(p *corev1.Pod) {
		p.Spec.Containers = []corev1.Container{{Name: "flux", Image: "flux:1"}}
		p.Annotations["example.com/long"] = "x"
	}
	client := fake.NewClientset(failedPod("before", "1", full))
	c := &Controller{kube: client, caches: map[string]*caches{testNamespace: {}}}
	c.environment.ServerMinor = minorFailedPodsCounted - 1
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	require.NoError(t, c.watchFailedPods(ctx, &running))
	_, err := client.CoreV1().Pods(testNamespace).Create(ctx, failedPod("after", "2", full), metav1.CreateOptions{})
	require.NoError(t, err)
	failed := c.caches[testNamespace].failed
	require.Eventually(t, func() bool { return len(failed.List()) == 2 }, time.Minute, time.Millisecond)
	for _, obj := range failed.List() {
		pod := obj.(*corev1.Pod)
		assert.Empty(t, pod.Spec.Containers, pod.Name)
		assert.Len(t, pod.Annotations, 1, pod.Name)
		assert.Equal(t, []string{batchv1.JobTrackingFinalizer}, pod.Finalizers)
	}
}

// A MiniCluster is enqueued when a pod fails, when the Job controller has replaced it, and when it is deleted.
func TestFailedPodsWake(t *testing.T) {
	p := newPlay(t, nil)
	p.calm()
	handler := p.controller.failedPodHandler()
	replaced := func(pod *corev1.Pod) { pod.Finalizers = nil }
	for name, tc := range map[string]struct {
		event func()
		want  int
	}{
		"fails":              {func() { handler.OnAdd(failedPod("x", "1"), false) }, 1},
		"no other change":    {func() { handler.OnUpdate(failedPod("x", "1"), failedPod("x", "1")) }, 0},
		"replaced":           {func() { handler.OnUpdate(failedPod("x", "1"), failedPod("x", "1", replaced)) }, 1},
		"deleted":            {func() { handler.OnDelete(failedPod("x", "1")) }, 1},
		"deleted unobserved": {func() { handler.OnDelete(cache.DeletedFinalStateUnknown{Obj: failedPod("x", "1")}) }, 1},
	} {
		tc.event()
		assert.Equal(t, tc.want, p.controller.queue.Len(), name)
		p.work(5)
	}
}
