package status

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Minimal times between two writes of a status, by what changes. They limit the writes while the pods of a cluster
// start: most clusters are ready before their pods are counted a second time.
const (
	// readinessInterval is for a condition about readiness.
	readinessInterval = time.Second
	// countInterval is for numbers of pods alone, of a cluster that is not ready.
	countInterval = 3 * time.Second
)

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

// Wait returns the time until the next write is due, given the time that it has to keep from the last one; 0 when it is
// due now.
func (t *Throttle) Wait(key types.NamespacedName, interval time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.last[key]
	if !ok {
		return 0
	}
	return max(0, interval-t.clock.Since(last))
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
