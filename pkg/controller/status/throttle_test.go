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
	assert.Zero(t, throttle.Wait(key, time.Second), "nothing was written yet")

	throttle.Written(key)
	assert.Equal(t, time.Second, throttle.Wait(key, time.Second))
	assert.Equal(t, 3*time.Second, throttle.Wait(key, 3*time.Second))
	assert.Zero(t, throttle.Wait(key, 0))
	assert.Zero(t, throttle.Wait(other, time.Second), "each has its own pace")
	clock.SetTime(clock.Now().Add(700 * time.Millisecond))
	assert.Equal(t, 300*time.Millisecond, throttle.Wait(key, time.Second))
	clock.SetTime(clock.Now().Add(time.Second))
	assert.Zero(t, throttle.Wait(key, time.Second))

	throttle.Written(key)
	throttle.Forget(key)
	assert.Zero(t, throttle.Wait(key, time.Second))
}

// TestThrottleOfManyClusters checks that numbers of pods are written less often while many clusters start together.
func TestThrottleOfManyClusters(t *testing.T) {
	throttle := NewThrottle(clocktesting.NewFakePassiveClock(time.Now()))
	key := func(i int) types.NamespacedName {
		return types.NamespacedName{Namespace: "default", Name: fmt.Sprint(i)}
	}
	for i := range 2 * manyPending {
		throttle.Written(key(i))
		throttle.Wait(key(i), countInterval)
	}
	assert.Equal(t, 3*countInterval, throttle.Wait(key(0), countInterval))
	assert.Equal(t, readinessInterval, throttle.Wait(key(0), readinessInterval), "readiness is not delayed")
	throttle.Written(key(1))
	throttle.Forget(key(2))
	throttle.Current(key(3))
	assert.Equal(t, 2*countInterval, throttle.Wait(key(0), countInterval))
}
