package diagnosis

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func jobOf(size, ready int32) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{UID: "job"},
		Spec:       batchv1.JobSpec{Parallelism: &size}, Status: batchv1.JobStatus{Ready: &ready},
	}
}

// TestScheduleOfSlowCluster checks that an inspection is postponed while more pods become ready, up to a limit. Pods
// that become ready again are not progress.
func TestScheduleOfSlowCluster(t *testing.T) {
	clock := testclock.NewFakeClock(examined)
	schedule := NewSchedule(clock, 10*time.Second)
	key := types.NamespacedName{Namespace: "ns", Name: "a"}
	due := func(ready int32) time.Duration {
		wait, _ := schedule.Due(key, jobOf(100, ready), false)
		return wait
	}
	assert.Equal(t, 10*time.Second, due(0))
	clock.Step(9 * time.Second)
	assert.Equal(t, 20*time.Second, due(1), "a tenth of a second longer for each pod")
	clock.Step(9 * time.Second)
	assert.Equal(t, 11*time.Second, due(0))
	assert.Equal(t, 11*time.Second, due(1), "no more than before")
	ready, start := int32(1), clock.Now()
	for due(ready) > 0 {
		clock.Step(5 * time.Second)
		ready++
		require.Less(t, clock.Since(start), 2*checkMax)
	}
	assert.Greater(t, clock.Since(start), checkMax/2)

	large := types.NamespacedName{Namespace: "ns", Name: "large"}
	_, _ = schedule.Due(large, jobOf(10_000, 0), false)
	assert.Equal(t, 11*checkBase, schedule.Checked(large, nil))
}

// TestScheduleOfReplacedPods checks that pods that end and are replaced all the time are not progress: they would hide
// the problem of another pod of a large cluster for more than an hour.
func TestScheduleOfReplacedPods(t *testing.T) {
	clock := testclock.NewFakeClock(examined)
	schedule := NewSchedule(clock, 10*time.Second)
	key := types.NamespacedName{Namespace: "ns", Name: "a"}
	due := func(terminating int32) time.Duration {
		job := jobOf(10_000, 9_990)
		job.Status.Active, job.Status.Terminating = 10_000-terminating, &terminating
		wait, _ := schedule.Due(key, job, false)
		return wait
	}
	for i := int32(0); due(i%3) > 0; i++ {
		clock.Step(5 * time.Second)
		require.Less(t, clock.Since(examined), 5*checkMax)
	}
}

// TestSchedule checks that the first inspection happens after a delay, the next ones soon, and later ones at
// increasing intervals while nothing changes.
func TestSchedule(t *testing.T) {
	clock := testclock.NewFakeClock(examined)
	schedule := NewSchedule(clock, 10*time.Second)
	key := types.NamespacedName{Namespace: "ns", Name: "a"}
	due := func(size int32, known bool) time.Duration {
		wait, _ := schedule.Due(key, jobOf(size, 0), known)
		return wait
	}
	assert.Equal(t, 10*time.Second, due(4, false))
	clock.Step(7 * time.Second)
	assert.Equal(t, 3*time.Second, due(4, false))
	assert.Equal(t, 10*time.Second, due(5, false), "another size has its time again")
	assert.Equal(t, 10*time.Second, due(5, true), "known from a previous process only")
	clock.Step(10 * time.Second)
	assert.Zero(t, due(5, false))

	pulling, failed := &Problem{Reason: v1alpha2.ReasonPulling}, &Problem{Reason: v1alpha2.ReasonImagePullFailed}
	for _, look := range []struct {
		found *Problem
		want  time.Duration
	}{{nil, 5}, {nil, 10}, {pulling, 5}, {pulling, 10}, {failed, 5}, {failed, 10}, {failed, 20}, {failed, 40}, {failed, 60}, {failed, 60}} {
		assert.Equal(t, look.want*time.Second, schedule.Checked(key, look.found))
		wait, last := schedule.Due(key, jobOf(5, 0), false)
		assert.Equal(t, look.want*time.Second, wait)
		assert.Equal(t, look.found, last)
		clock.Step(wait)
	}
	schedule.Forget(key)
	assert.Zero(t, due(5, true), "the previous leader had found a problem")
	assert.Equal(t, checkMax, NewSchedule(clock, 1).Checked(key, nil), "forgotten meanwhile")
}

// TestScheduleOfManySlowClusters checks that clusters that are slow together are not inspected while one of them makes
// progress, up to a limit, and that a few broken clusters are not taken for slow ones.
func TestScheduleOfManySlowClusters(t *testing.T) {
	clock := testclock.NewFakeClock(examined)
	schedule := NewSchedule(clock, 10*time.Second)
	key := func(i int) types.NamespacedName {
		return types.NamespacedName{Namespace: "ns", Name: fmt.Sprint(i)}
	}
	due := func(i int) time.Duration {
		wait, _ := schedule.Due(key(i), jobOf(4, 0), false)
		return wait
	}
	for i := range manySlow + 2 {
		due(i)
	}
	clock.Step(9 * time.Second)
	schedule.Forget(key(manySlow + 1)) // it is ready
	clock.Step(2 * time.Second)
	assert.Equal(t, 8*time.Second, due(0))
	clock.Step(8 * time.Second)
	assert.Zero(t, due(0), "no other one became ready since")
	_, _ = schedule.Due(key(2), jobOf(4000, 0), false)
	clock.Step(time.Second)
	start, wait := clock.Now().Add(-time.Second), time.Second
	for wait > 0 {
		_, _ = schedule.Due(key(2), jobOf(4000, int32(clock.Since(start)/time.Second)), false)
		wait = due(1)
		clock.Step(5 * time.Second)
		require.Less(t, clock.Since(start), 2*checkMax)
	}
	assert.Greater(t, clock.Since(start), checkMax/2)
	schedule.Checked(key(0), nil)
	clock.Step(checkBase)
	_, _ = schedule.Due(key(2), jobOf(4000, 4000), false)
	assert.Zero(t, due(0), "it was inspected before")
	for i := range 3 {
		schedule.Forget(key(10 + i))
	}
	assert.Zero(t, due(4), "a few clusters are not many")
}
