package diagnosis

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// TestSchedule checks that the first inspection happens after a delay, the next ones soon, and later ones less and
// less often while nothing changes.
func TestSchedule(t *testing.T) {
	clock := testclock.NewFakeClock(examined)
	schedule := NewSchedule(clock, 10*time.Second)
	key := types.NamespacedName{Namespace: "ns", Name: "a"}
	due := func(size int32, known bool) time.Duration {
		wait, _ := schedule.Due(key, "job", size, known)
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
		wait, last := schedule.Due(key, "job", 5, false)
		assert.Equal(t, look.want*time.Second, wait)
		assert.Equal(t, look.found, last)
		clock.Step(wait)
	}
	schedule.Forget(key)
	assert.Zero(t, due(5, true), "the previous leader had found a problem")
	assert.Equal(t, checkMax, NewSchedule(clock, 1).Checked(key, nil), "forgotten meanwhile")
}
