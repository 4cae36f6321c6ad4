package status

import (
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Minimal times between two writes of a status, by what changes. They limit the writes while the pods of a cluster
// start: most clusters are ready before their pods are counted a second time.
const (
	// readinessInterval is for a condition about readiness.
	readinessInterval = time.Second
	// countInterval is for numbers of pods alone, while pods start. The more statuses are written, the longer it is.
	countInterval = 3 * time.Second
	// maxCountInterval is the longest countInterval.
	maxCountInterval = 15 * time.Second
	// leadHold is how long a status waits for the numbers of pods after the lead is ready, where many are written. The
	// status of a Job shows ready pods about a second later than the pods do, and later yet where the Job controller
	// counts those of many Jobs. The more statuses are written, the longer it is.
	leadHold = 3 * time.Second
	// maxLeadHold is the longest leadHold.
	maxLeadHold = 6 * time.Second
)

// manyWrites is the number of recent writes for each of which countInterval applies once more, and leadHold once.
const manyWrites = 20

// recent is the time in which the number of recent writes falls to a third.
const recent = 10 * time.Second

// Throttle limits how often the status of each MiniCluster is written.
type Throttle struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	last map[types.NamespacedName]time.Time
	// held is since when the lead of a cluster is ready, where its status waits for the numbers of pods.
	held map[types.NamespacedName]time.Time
	// writes is the number of recent writes of all statuses when the last one was made. Older ones count less.
	writes float64
	wrote  time.Time
}

// NewThrottle returns a Throttle without recorded writes.
func NewThrottle(c clock.PassiveClock) *Throttle {
	return &Throttle{clock: c, last: map[types.NamespacedName]time.Time{}, held: map[types.NamespacedName]time.Time{}}
}

// Wait returns the time until a change of a status is written; 0 when that is due now.
func (t *Throttle) Wait(key types.NamespacedName, before, after v1alpha2.MiniClusterStatus) time.Duration {
	return t.wait(key, changeOf(before, after))
}

func (t *Throttle) wait(key types.NamespacedName, kind change) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.last[key]
	if !ok || kind == changeOther {
		return 0
	}
	since := t.clock.Since(last)
	switch times := int(t.recentWrites() / manyWrites); {
	case kind == changeNumbers:
		return max(0, min(maxCountInterval, countInterval*time.Duration(1+times))-since)
	case kind == changeLead && times > 0:
		if t.held[key].IsZero() {
			t.held[key] = t.clock.Now()
		}
		hold := min(maxLeadHold, leadHold*time.Duration(times))
		return max(0, readinessInterval-since, hold-t.clock.Since(t.held[key]))
	default:
		return max(0, readinessInterval-since)
	}
}

// recentWrites returns the number of recent writes. It does not grow if the clock is set back.
func (t *Throttle) recentWrites() float64 {
	return t.writes * math.Exp(-max(0, t.clock.Since(t.wrote)).Seconds()/recent.Seconds())
}

// Written records that the status is written now.
func (t *Throttle) Written(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes, t.wrote = t.recentWrites()+1, t.clock.Now()
	t.last[key] = t.wrote
	delete(t.held, key)
}

// Forget drops the record of a MiniCluster.
func (t *Throttle) Forget(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, key)
	delete(t.held, key)
}
