package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/tools/cache"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// TestSlowStarts: the first look comes after a while, the next ones soon, and rarer and
// rarer while nothing changes.
func TestSlowStarts(t *testing.T) {
	clock := testclock.NewFakeClock(examined)
	slow := newSlowStarts(clock, 10*time.Second)
	key := cache.NewObjectName("ns", "a")
	due := func(size int32, known bool) time.Duration {
		wait, _ := slow.due(key, "job", size, known)
		return wait
	}
	assert.Equal(t, 10*time.Second, due(4, false))
	clock.Step(7 * time.Second)
	assert.Equal(t, 3*time.Second, due(4, false))
	assert.Equal(t, 10*time.Second, due(5, false), "another size has its time again")
	assert.Equal(t, 10*time.Second, due(5, true), "known from before this process only")
	clock.Step(10 * time.Second)
	assert.Zero(t, due(5, false))

	pulling, failed := &problem{reason: v1alpha2.ReasonPulling}, &problem{reason: v1alpha2.ReasonImagePullFailed}
	for _, look := range []struct {
		found *problem
		want  time.Duration
	}{{nil, 5}, {nil, 10}, {pulling, 5}, {pulling, 10}, {failed, 5}, {failed, 10}, {failed, 20}, {failed, 40}, {failed, 60}, {failed, 60}} {
		assert.Equal(t, look.want*time.Second, slow.looked(key, look.found))
		wait, last := slow.due(key, "job", 5, false)
		assert.Equal(t, look.want*time.Second, wait)
		assert.Equal(t, look.found, last)
		clock.Step(wait)
	}
	slow.forget(key)
	assert.Zero(t, due(5, true), "the one before us had found something")
	assert.Equal(t, lookMax, newSlowStarts(clock, 1).looked(key, nil), "forgotten meanwhile")
}
