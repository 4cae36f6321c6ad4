package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/flux"
)

func TestIdleRanks(t *testing.T) {
	key := cache.NewObjectName("default", "one")
	r := newIdleRanks(5 * time.Minute)
	now := time.Unix(1_000_000, 0)
	observe := func(after time.Duration, free ...uint32) (string, bool) {
		now = now.Add(after)
		idle, changes := r.observe(key, "job", flux.IDs(free...), now)
		return idle.String(), changes
	}
	check := func(wantIdle string, wantChanges bool) func(string, bool) {
		return func(idle string, changes bool) {
			t.Helper()
			assert.Equal(t, wantIdle, idle)
			assert.Equal(t, wantChanges, changes)
		}
	}
	check("", true)(observe(0, 1, 2)) // pods may have been changed by an earlier process
	r.wrote(key, flux.IDSet{})
	assert.False(t, r.any(key))
	check("", false)(observe(4*time.Minute, 1, 2))
	check("", false)(observe(50*time.Second, 2))
	check("2", true)(observe(10*time.Second, 1, 2))
	check("2", true)(observe(0, 1, 2)) // until it was written
	r.wrote(key, flux.IDs(2))
	assert.True(t, r.any(key))
	check("2", false)(observe(time.Minute, 1, 2))
	check("", true)(observe(time.Minute, 1))
	r.forget(key)
	assert.False(t, r.any(key))
}
