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
	assert.Zero(t, pace.wait(key, false), "nothing was written yet")

	pace.wrote(key)
	assert.Equal(t, time.Second, pace.wait(key, true))
	assert.Equal(t, 3*time.Second, pace.wait(key, false))
	assert.Zero(t, pace.wait(other, false), "each has its own pace")

	clock.SetTime(clock.Now().Add(1200 * time.Millisecond))
	assert.Zero(t, pace.wait(key, true), "a settled cluster is reported soon")
	assert.Equal(t, 1800*time.Millisecond, pace.wait(key, false))

	pace.forget(key)
	assert.Zero(t, pace.wait(key, false))
}
