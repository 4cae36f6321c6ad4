package controller_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestSizeAboveTheMaximum(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("above", 4)
	sizes := f.jobSizes("above")

	asked := time.Now()
	f.setSize("above", 5)
	f.eventually("size to be reset", func(ctx context.Context) (string, error) {
		mc, err := f.miniclusters().Get(ctx, "above", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return specSize(4)(mc), nil
	})
	t.Logf("size 5 of 4 was reset after %s", time.Since(asked))
	f.waitFor("above", specSize(4), f.ready(4),
		has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonAboveMaximum, "size 5", "maximum is 4"))
	f.waitForEvent("above", "ScaleRejected", "size 5", "maximum is 4")

	f.setSize("above", 3)
	f.waitFor("above", f.ready(3), has(v1alpha2.ConditionScalingLimited, metav1.ConditionFalse, v1alpha2.ReasonWithinBounds))
	for _, n := range sizes() {
		assert.Contains(t, []int32{3, 4}, n, "a size of the Job")
	}
}

func TestSizeBelowTheMinimum(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("below", 3, maxSize(4), func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = 2 })
	f.setSize("below", 1)
	f.waitFor("below", specSize(3), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonBelowMinimum, "size 1", "minimum is 2"))
	f.setSize("below", 0)
	f.waitFor("below", specSize(3), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonBelowMinimum, "size 0"))
	f.waitForEvent("below", "ScaleRejected", "size 0", "minimum is 2")

	_, err := f.miniclusters().Patch(t.Context(), "below", types.MergePatchType, []byte(`{"spec":{"size":-1}}`), metav1.PatchOptions{})
	require.ErrorContains(t, err, "spec.size", "the API server itself refuses a negative size")

	// The minimum rises, and the size follows it.
	f.setSize("below", 2)
	f.waitFor("below", f.ready(2))
	f.patch("below", map[string]any{"spec": map[string]any{"minSize": 3}})
	f.waitFor("below", specSize(3), f.ready(3))
	// A minimum above the maximum is reported as invalid.
	f.patch("below", map[string]any{"spec": map[string]any{"minSize": 9}})
	f.waitFor("below", has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, "spec.minSize"))
}

// An invalid reserve is reported, and does not block anything, not even the recreation of a Job.
func TestBadReserve(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const path = "spec.opportunistic.reserve[cpu]"
	reserve := func(share any) {
		f.patch("leaves", map[string]any{"spec": map[string]any{"opportunistic": map[string]any{"reserve": map[string]any{"cpu": share}}}})
	}
	f.createReady("leaves", 2, maxSize(4))
	reserve("many")
	f.waitFor("leaves", has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, path, "neither a quantity"))
	f.setSize("leaves", 3)
	before := f.waitFor("leaves", f.ready(3))

	require.NoError(t, f.kube.BatchV1().Jobs(f.namespace).Delete(t.Context(), "leaves", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	f.waitFor("leaves", func(mc *v1alpha2.MiniCluster) string {
		if mc.Status.JobID == before.Status.JobID {
			return "the Job is the old one"
		}
		return f.ready(3)(mc)
	}, has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, path))
	reserve(nil)
	f.waitFor("leaves", has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid))

	f.create("refused", 1, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Opportunistic = &v1alpha2.Opportunistic{Reserve: map[corev1.ResourceName]intstr.IntOrString{"cpu": intstr.FromInt32(-1)}}
	})
	f.waitFor("refused", has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, path, "use 0 or more"))
}

func TestSizeZeroFromTheStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("zero", 0)
	mc := f.waitFor("zero", specSize(1), f.ready(1), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonBelowMinimum, "size 0"))
	assert.Equal(t, int32(1), mc.Status.MaximumSize)
}

// A shrink removes the highest indexes, growth adds them again, and the quorum never exceeds the number of brokers.
func TestShrinkAndGrow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("elastic", 2, maxSize(4))
	for _, step := range []struct {
		size    int32
		indexes []string
		quorum  string
	}{
		{4, []string{"0", "1", "2", "3"}, "2"},
		{1, []string{"0"}, "1"},
		{3, []string{"0", "1", "2"}, "1"},
	} {
		f.setSize("elastic", step.size)
		f.waitFor("elastic", f.ready(step.size))
		f.eventually("pods", func(ctx context.Context) (string, error) {
			indexes, err := f.podIndexes(ctx, "elastic")
			slices.Sort(indexes)
			if !slices.Equal(indexes, step.indexes) {
				return "other indexes", err
			}
			return "", err
		})
		conf, err := f.kube.CoreV1().ConfigMaps(f.namespace).Get(t.Context(), "elastic-config", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, step.quorum, conf.Data["quorum"])
	}
	f.waitForEvent("elastic", "Resized", "from 4 to 1")
}

// The scale subresource behaves the same through both versions.
func TestScaleSubresource(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("scaled", 2, maxSize(4))
	for _, version := range []string{"v1alpha1", "v1alpha2"} {
		text, err := f.cluster.Kubectl(t.Context(), "get", "--raw", "/apis/flux-framework.org/"+version+"/namespaces/"+f.namespace+"/miniclusters/scaled/scale")
		require.NoError(t, err)
		var scale autoscalingv1.Scale
		require.NoError(t, json.Unmarshal([]byte(text), &scale))
		assert.Equal(t, int32(2), scale.Spec.Replicas)
		assert.Equal(t, autoscalingv1.ScaleStatus{Replicas: 2, Selector: "hpa-selector=scaled"}, scale.Status)
	}

	_, err := f.cluster.Kubectl(t.Context(), "-n", f.namespace, "scale", "minicluster/scaled", "--replicas=4")
	require.NoError(t, err)
	f.waitFor("scaled", f.ready(4))

	// Like the HorizontalPodAutoscaler. The controller may write the status at the same time.
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		scale, err := f.miniclusters().GetScale(t.Context(), "scaled", metav1.GetOptions{})
		if err != nil {
			return err
		}
		scale.Spec.Replicas = 7
		_, err = f.miniclusters().UpdateScale(t.Context(), "scaled", scale, metav1.UpdateOptions{})
		return err
	}))
	f.waitFor("scaled", specSize(4), f.ready(4), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonAboveMaximum, "size 7"))
}

// Ten writers request random sizes, in and out of bounds. The Job always stays within the bounds, and at the end it
// has the last valid size that was requested.
func TestTenWriters(t *testing.T) {
	t.Parallel()
	const maximum = 6
	f := newFixture(t)
	f.createReady("busy", 3, maxSize(maximum))
	sizes := f.jobSizes("busy")

	var (
		wg      sync.WaitGroup
		written atomic.Int32
	)
	deadline := time.Now().Add(30 * time.Second)
	for writer := range 10 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(writer), 7))
			for time.Now().Before(deadline) {
				patch := []byte(`{"spec":{"size":` + string(rune('0'+random.IntN(10))) + `}}`)
				// A busy machine may be too slow for etcd at times; a size is never rejected by the API server.
				_, err := f.miniclusters().Patch(t.Context(), "busy", types.MergePatchType, patch, metav1.PatchOptions{})
				assert.False(t, apierrors.IsInvalid(err) || apierrors.IsConflict(err), "%v", err)
				if err == nil {
					written.Add(1)
				}
				select {
				case <-time.After(time.Duration(random.IntN(100)) * time.Millisecond):
				case <-t.Context().Done():
					return
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, written.Load())

	mc := f.waitFor("busy", func(mc *v1alpha2.MiniCluster) string {
		if n := mc.RequestedSize(); n < 1 || n > maximum {
			return "spec.size is out of bounds"
		}
		return f.ready(mc.RequestedSize())(mc)
	})
	job := f.job("busy")
	assert.Equal(t, mc.RequestedSize(), *job.Spec.Parallelism)
	assert.Equal(t, mc.RequestedSize(), *job.Spec.Completions)
	seen := sizes()
	for _, n := range seen {
		assert.True(t, n >= 1 && n <= maximum, "the Job had size %d", n)
	}
	t.Logf("%d sizes were written, the Job changed %d times", written.Load(), len(seen)/2)
}

// If another client resizes the Job within the bounds (Kueue's partial admission), the size stays until spec.size
// changes; out of bounds it is corrected.
func TestJobResizedElsewhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("queued", 4)
	resize := func(n string) {
		_, err := f.kube.BatchV1().Jobs(f.namespace).Patch(t.Context(), "queued", types.MergePatchType,
			[]byte(`{"spec":{"parallelism":`+n+`,"completions":`+n+`}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	resize("2")
	f.waitFor("queued", specSize(4), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonJobResizedExternally, "parallelism 2"))
	assert.Equal(t, int32(2), *f.job("queued").Spec.Parallelism)
	resize("9")
	f.eventually("the Job to be repaired", func(context.Context) (string, error) {
		if n := *f.job("queued").Spec.Parallelism; n != 4 {
			return "not yet", nil
		}
		return "", nil
	})
	resize("2")
	f.waitFor("queued", has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonJobResizedExternally))
	f.setSize("queued", 3)
	f.waitFor("queued", f.ready(3), has(v1alpha2.ConditionScalingLimited, metav1.ConditionFalse, v1alpha2.ReasonWithinBounds))
}

// TestResizeOfAdmittedJob: Kueue would delete all pods of a Job that it has admitted and that changes its size.
func TestResizeOfAdmittedJob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("queued", 2, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.MaxSize = 8
		mc.Spec.JobLabels = map[string]string{"kueue.x-k8s.io/queue-name": "user-queue"}
	})
	f.waitFor("queued", f.ready(2))
	patch := func(text string, subresources ...string) {
		_, err := f.kube.BatchV1().Jobs(f.namespace).Patch(t.Context(), "queued", types.MergePatchType, []byte(text), metav1.PatchOptions{}, subresources...)
		require.NoError(t, err)
	}
	podsEnd := func() {
		f.eventually("the pods of a suspended Job to end", func(context.Context) (string, error) {
			if n := f.job("queued").Status.Active; n != 0 {
				return "some are active", nil
			}
			return "", nil
		})
	}
	// What Kueue does: it suspends the Job, changes the pod template, and resumes the Job.
	patch(`{"spec":{"suspend":true}}`)
	f.waitFor("queued", has(v1alpha2.ConditionSuspended, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
	f.setSize("queued", 3)
	f.eventually("a suspended Job to change its size", func(context.Context) (string, error) {
		if n := *f.job("queued").Spec.Parallelism; n != 3 {
			return "it does not", nil
		}
		return "", nil
	})
	podsEnd() // until then, the template cannot change
	patch(`{"status":{"startTime":null}}`, "status")
	patch(`{"spec":{"template":{"metadata":{"labels":{"kueue.x-k8s.io/podset":"main"}}}}}`)
	patch(`{"spec":{"suspend":false}}`)
	f.waitFor("queued", f.ready(3))

	for _, size := range []int32{4, 2} {
		f.setSize("queued", size)
		f.waitFor("queued", specSize(3), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonNotElastic, "kueue.x-k8s.io/elastic-job"))
	}
	assert.Equal(t, int32(3), *f.job("queued").Spec.Parallelism)
	// Without its feature gate, Kueue ignores the annotation, and does not add a scheduling gate.
	patch(`{"metadata":{"annotations":{"kueue.x-k8s.io/elastic-job":"true"}}}`)
	f.setSize("queued", 4)
	f.waitFor("queued", specSize(3), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonNotElastic, "ElasticJobsViaWorkloadSlices"))
	patch(`{"spec":{"suspend":true}}`)
	// Otherwise a later NotSuspended may be that of before, and the controller may not know the scheduling gate yet.
	f.waitFor("queued", has(v1alpha2.ConditionSuspended, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
	podsEnd()
	patch(`{"status":{"startTime":null}}`, "status")
	patch(`{"spec":{"template":{"spec":{"schedulingGates":[{"name":"kueue.x-k8s.io/elastic-job"}]}}}}`)
	patch(`{"spec":{"suspend":false}}`)
	f.waitFor("queued", has(v1alpha2.ConditionSuspended, metav1.ConditionFalse, v1alpha2.ReasonNotSuspended))
	f.setSize("queued", 4)
	f.waitFor("queued", has(v1alpha2.ConditionScalingLimited, metav1.ConditionFalse, v1alpha2.ReasonWithinBounds), func(*v1alpha2.MiniCluster) string {
		if n := *f.job("queued").Spec.Parallelism; n != 4 {
			return "the Job is not resized"
		}
		return ""
	})
}
