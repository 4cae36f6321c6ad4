package status

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
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

// manyPending is the number of clusters for each of which countInterval applies once more: where many start together,
// each of them takes longer.
const manyPending = 50

// Throttle limits how often the status of each MiniCluster is written.
type Throttle struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	last map[types.NamespacedName]time.Time
	// pending are the clusters with numbers of pods that are not written yet.
	pending sets.Set[types.NamespacedName]
}

// NewThrottle returns a Throttle without recorded writes.
func NewThrottle(c clock.PassiveClock) *Throttle {
	return &Throttle{clock: c, last: map[types.NamespacedName]time.Time{}, pending: sets.New[types.NamespacedName]()}
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
	if interval == countInterval {
		interval *= time.Duration(1 + t.pending.Len()/manyPending)
	}
	wait := max(0, interval-t.clock.Since(last))
	if wait > 0 && interval >= countInterval {
		t.pending.Insert(key)
	}
	return wait
}

// Current records that the written status is up to date.
func (t *Throttle) Current(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending.Delete(key)
}

// Written records that the status is written now.
func (t *Throttle) Written(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last[key] = t.clock.Now()
	t.pending.Delete(key)
}

// Forget drops the record of a MiniCluster.
func (t *Throttle) Forget(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, key)
	t.pending.Delete(key)
}
