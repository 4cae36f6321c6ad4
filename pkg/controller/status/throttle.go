package status

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// throttleInterval is the minimal time between two writes of a status that differ only in readiness. It limits the
// writes while thousands of pods of a cluster start.
const throttleInterval = time.Second

// Throttle limits how often the status of each MiniCluster is written.
type Throttle struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	last map[types.NamespacedName]time.Time
}

// NewThrottle returns a Throttle without recorded writes.
func NewThrottle(c clock.PassiveClock) *Throttle {
	return &Throttle{clock: c, last: map[types.NamespacedName]time.Time{}}
}

// Wait returns the time until the next write is due; 0 when it is due now.
func (t *Throttle) Wait(key types.NamespacedName) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.last[key]
	if !ok {
		return 0
	}
	return max(0, throttleInterval-t.clock.Since(last))
}

// Written records that the status is written now.
func (t *Throttle) Written(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last[key] = t.clock.Now()
}

// Forget drops the record of a MiniCluster.
func (t *Throttle) Forget(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, key)
}
