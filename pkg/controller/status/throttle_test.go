package status

import (
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
