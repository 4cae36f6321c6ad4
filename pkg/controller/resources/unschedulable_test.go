package resources

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// limited is a MiniCluster that limits how long its pods wait for nodes.
func limited(size int32) *v1alpha2.MiniCluster {
	mc := sample.MiniCluster()
	mc.UID, mc.Spec.Size, mc.Spec.MinSize = "1", &size, 2
	mc.Spec.ScaleUp = &v1alpha2.ScaleUp{UnschedulableTimeoutSeconds: 60}
	return mc
}

func TestReduceSize(t *testing.T) {
	now := time.Unix(1_000_000, 0).UTC()
	mc := limited(6)
	for pods, want := range map[int32]int32{1: 5, 3: 3, 4: 2, 6: 2} {
		r, _, err := ReduceSize(mc, 8, pods, now)
		require.NoError(t, err)
		assert.Equal(t, &ReducedSize{UID: "1", Size: want, Until: now.Add(5 * time.Minute), BackoffSeconds: 300}, r, "%d pods", pods)
	}
	for _, unchanged := range []struct{ size, pods int32 }{{6, 0}, {2, 1}, {1, 1}} {
		r, _, err := ReduceSize(limited(unchanged.size), 8, unchanged.pods, now)
		require.NoError(t, err)
		assert.Nil(t, r, "%+v", unchanged)
	}
}

// The back-off doubles if a larger size fails again soon, up to a limit.
func TestReduceSizeAgain(t *testing.T) {
	now := time.Unix(1_000_000, 0).UTC()
	mc := limited(6)
	var waits []time.Duration
	for range 6 {
		r, text, err := ReduceSize(mc, 8, 1, now)
		require.NoError(t, err)
		waits = append(waits, r.Until.Sub(now))
		mc.Annotations = map[string]string{v1alpha2.AnnotationUnschedulableSize: text}
		now = r.Until.Add(time.Minute)
	}
	minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	assert.Equal(t, []time.Duration{minutes(5), minutes(10), minutes(20), minutes(40), minutes(60), minutes(60)}, waits)
	r, _, err := ReduceSize(mc, 8, 1, now.Add(2*time.Hour))
	require.NoError(t, err)
	assert.Equal(t, int64(300), r.BackoffSeconds)
}

func TestCheckReduction(t *testing.T) {
	now := time.Unix(1_000_000, 0).UTC()
	reduced := func(size int32) *v1alpha2.MiniCluster {
		mc := limited(6)
		_, text, err := ReduceSize(mc, 8, 2, now)
		require.NoError(t, err)
		mc.Annotations = map[string]string{v1alpha2.AnnotationUnschedulableSize: text}
		mc.Spec.Size = &size
		return mc
	}
	for size, rejected := range map[int32]bool{3: false, 4: false, 5: true, 8: true} {
		d := CheckReduction(reduced(size), 8, now.Add(4*time.Minute))
		require.Equal(t, rejected, d != nil, "size %d", size)
		if rejected {
			assert.Equal(t, int32(4), d.Granted)
			assert.Contains(t, d.Message(), "larger sizes are rejected until 1970-01-12T13:51:40Z")
		}
		assert.Nil(t, CheckReduction(reduced(size), 8, now.Add(5*time.Minute)), "after the back-off")
	}
	off, other := reduced(8), reduced(8)
	off.Spec.ScaleUp, other.UID = nil, "2"
	assert.Nil(t, CheckReduction(off, 8, now), "the limit was removed")
	assert.Nil(t, CheckReduction(other, 8, now), "a copy of the MiniCluster")
}

func TestUnschedulable(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	pod := func(reason string) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: metav1.NewTime(now.Add(-time.Minute)),
		}}}}
	}
	age, waits := Unschedulable(pod(corev1.PodReasonUnschedulable), now)
	assert.True(t, waits)
	assert.Equal(t, time.Minute, age)
	terminating := pod(corev1.PodReasonUnschedulable)
	terminating.DeletionTimestamp = &metav1.Time{}
	for name, pod := range map[string]*corev1.Pod{
		"gated": pod(corev1.PodReasonSchedulingGated), "new": {Status: corev1.PodStatus{Phase: corev1.PodPending}}, "terminating": terminating,
	} {
		_, waits := Unschedulable(pod, now)
		assert.False(t, waits, name)
	}
}
