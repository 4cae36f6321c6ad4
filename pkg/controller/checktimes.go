package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// checkTimes records when MiniClusters are checked next. It is empty when a process starts.
type checkTimes struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	next map[cache.ObjectName]time.Time
}

func newCheckTimes(c clock.PassiveClock) *checkTimes {
	return &checkTimes{clock: c, next: map[cache.ObjectName]time.Time{}}
}

// due returns the time until the next check, 0 if it is due. The first check is due after a delay.
func (t *checkTimes) due(key cache.ObjectName, delay time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	next, known := t.next[key]
	if !known {
		next = t.clock.Now().Add(delay)
		t.next[key] = next
	}
	return max(0, next.Sub(t.clock.Now()))
}

// checked records that the next check is due after a time.
func (t *checkTimes) checked(key cache.ObjectName, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next[key] = t.clock.Now().Add(after)
}

// done records that a MiniCluster needs no check.
func (t *checkTimes) done(key cache.ObjectName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.next, key)
}
