package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestStatusPace(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	pace := newStatusPace(clock)
	key, other := cache.NewObjectName("default", "a"), cache.NewObjectName("default", "b")
	assert.Zero(t, pace.wait(key), "nothing was written yet")

	pace.wrote(key)
	assert.Equal(t, time.Second, pace.wait(key))
	assert.Zero(t, pace.wait(other), "each has its own pace")
	clock.SetTime(clock.Now().Add(700 * time.Millisecond))
	assert.Equal(t, 300*time.Millisecond, pace.wait(key))
	clock.SetTime(clock.Now().Add(time.Second))
	assert.Zero(t, pace.wait(key))

	pace.wrote(key)
	pace.forget(key)
	assert.Zero(t, pace.wait(key))
}
