package status

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestThrottle(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	throttle := NewThrottle(clock)
	key, other := types.NamespacedName{Namespace: "default", Name: "a"}, types.NamespacedName{Namespace: "default", Name: "b"}
	assert.Zero(t, throttle.wait(key, changeReadiness), "nothing was written yet")

	throttle.Written(key)
	assert.Equal(t, time.Second, throttle.wait(key, changeReadiness))
	assert.Equal(t, time.Second, throttle.wait(key, changeLead), "one cluster that becomes ready does not wait for numbers")
	assert.Equal(t, 3*time.Second, throttle.wait(key, changeNumbers))
	assert.Zero(t, throttle.wait(key, changeOther))
	assert.Zero(t, throttle.wait(other, changeReadiness), "each has its own pace")
	clock.SetTime(clock.Now().Add(700 * time.Millisecond))
	assert.Equal(t, 300*time.Millisecond, throttle.wait(key, changeReadiness))
	clock.SetTime(clock.Now().Add(time.Second))
	assert.Zero(t, throttle.wait(key, changeReadiness))

	throttle.Written(key)
	throttle.Forget(key)
	assert.Zero(t, throttle.wait(key, changeReadiness))
}

// TestThrottleOfManyClusters checks that numbers of pods are written less often while many statuses are written, and
// that a cluster that becomes ready waits for them for a bounded time.
func TestThrottleOfManyClusters(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	throttle := NewThrottle(clock)
	key := func(i int) types.NamespacedName {
		return types.NamespacedName{Namespace: "default", Name: fmt.Sprint(i)}
	}
	for i := range 2 * manyWrites {
		throttle.Written(key(i))
	}
	assert.Equal(t, 3*countInterval, throttle.wait(key(0), changeNumbers))
	assert.Equal(t, readinessInterval, throttle.wait(key(0), changeReadiness), "readiness is not delayed")

	assert.Equal(t, maxLeadHold, throttle.wait(key(0), changeLead))
	clock.SetTime(clock.Now().Add(time.Second))
	assert.Equal(t, leadHold-time.Second, throttle.wait(key(0), changeLead), "from when the lead became ready; fewer writes are recent")
	assert.Zero(t, throttle.wait(key(0), changeReadiness), "the numbers are known")
	clock.SetTime(clock.Now().Add(leadHold))
	assert.Zero(t, throttle.wait(key(0), changeLead))
	throttle.Written(key(0))

	for i := range 20 * manyWrites {
		throttle.Written(key(i))
	}
	assert.Equal(t, maxCountInterval, throttle.wait(key(0), changeNumbers), "no status is older than that")
	clock.SetTime(clock.Now().Add(time.Minute))
	throttle.Written(key(0))
	assert.Equal(t, countInterval, throttle.wait(key(0), changeNumbers), "only recent writes count")
	clock.SetTime(clock.Now().Add(-time.Hour))
	throttle.Written(key(0))
	assert.Equal(t, countInterval, throttle.wait(key(0), changeNumbers), "the clock was set back")
	assert.Equal(t, readinessInterval, throttle.wait(key(0), changeLead))
}

// TestThrottleOfFirstStatus checks that the first status waits for the pods while many Jobs of its namespace are
// created, for a bounded time.
func TestThrottleOfFirstStatus(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	throttle := NewThrottle(clock)
	key, other := types.NamespacedName{Namespace: "a", Name: "x"}, types.NamespacedName{Namespace: "b", Name: "x"}
	create := func(n int) {
		for range n {
			throttle.Created(key.Namespace)
		}
	}
	create(manyCreations - 1)
	assert.Zero(t, throttle.wait(key, changeFirst), "few are created")
	create(1)
	assert.Equal(t, firstHold, throttle.wait(key, changeFirst))
	assert.Zero(t, throttle.wait(other, changeFirst), "in another namespace")
	assert.Zero(t, throttle.wait(key, changeOther))
	clock.SetTime(clock.Now().Add(time.Second))
	create(manyCreations)
	assert.Equal(t, 2*firstHold-time.Second, throttle.wait(key, changeFirst), "from the first time on")
	create(100 * manyCreations)
	clock.SetTime(clock.Now().Add(recent - time.Second))
	assert.Equal(t, maxFirstHold-recent, throttle.wait(key, changeFirst), "the longest")
	clock.SetTime(clock.Now().Add(time.Second))
	assert.Zero(t, throttle.wait(key, changeFirst), "they are not recent any more")
	assert.Empty(t, throttle.creations)
	assert.Empty(t, throttle.created)

	create(100 * manyCreations)
	throttle.Written(key)
	assert.Equal(t, maxFirstHold, throttle.wait(key, changeFirst), "as for a new MiniCluster of this name")
}
