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
	// firstHold is how long the first status waits for the pods, where many Jobs are created. The more are created, the
	// longer it is.
	firstHold = 3 * time.Second
	// maxFirstHold is the longest firstHold.
	maxFirstHold = 15 * time.Second
)

// manyWrites is the number of recent writes for each of which countInterval applies once more, and leadHold once.
const manyWrites = 20

// manyCreations is the number of recent creations in a namespace for each of which firstHold applies once.
const manyCreations = 20

// recent is the time in which the number of recent writes falls to a third, and after which a creation is not recent.
const recent = 10 * time.Second

// Throttle limits how often the status of each MiniCluster is written.
type Throttle struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	last map[types.NamespacedName]time.Time
	// held is since when a status waits for the pods: from the first one on, or since the lead is ready.
	held map[types.NamespacedName]time.Time
	// writes is the number of recent writes of all statuses when the last one was made. Older ones count less.
	writes float64
	wrote  time.Time
	// creations are the recent ones, the oldest first, and created is their number in each namespace.
	creations []creation
	created   map[string]int
}

// creation is that of a Job.
type creation struct {
	namespace string
	at        time.Time
}

// NewThrottle returns a Throttle without recorded writes.
func NewThrottle(c clock.PassiveClock) *Throttle {
	return &Throttle{
		clock: c, last: map[types.NamespacedName]time.Time{}, held: map[types.NamespacedName]time.Time{}, created: map[string]int{},
	}
}

// Wait returns the time until a change of a status is written; 0 when that is due now.
func (t *Throttle) Wait(key types.NamespacedName, before, after v1alpha2.MiniClusterStatus) time.Duration {
	return t.wait(key, changeOf(before, after))
}

func (t *Throttle) wait(key types.NamespacedName, kind change) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kind == changeFirst {
		return t.hold(key, min(maxFirstHold, firstHold*time.Duration(t.recentCreations(key.Namespace)/manyCreations)))
	}
	last, ok := t.last[key]
	if !ok || kind == changeOther {
		return 0
	}
	since := t.clock.Since(last)
	switch times := int(t.recentWrites() / manyWrites); {
	case kind == changeNumbers:
		return max(0, min(maxCountInterval, countInterval*time.Duration(1+times))-since)
	case kind == changeLead && times > 0:
		return max(readinessInterval-since, t.hold(key, min(maxLeadHold, leadHold*time.Duration(times))))
	default:
		return max(0, readinessInterval-since)
	}
}

// hold returns the remaining time for which a status waits for the pods. The time begins with the first call.
func (t *Throttle) hold(key types.NamespacedName, longest time.Duration) time.Duration {
	if t.held[key].IsZero() {
		t.held[key] = t.clock.Now()
	}
	return max(0, longest-t.clock.Since(t.held[key]))
}

// Created records that a Job is created now.
func (t *Throttle) Created(namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.creations = append(t.creations, creation{namespace, t.clock.Now()})
	t.created[namespace]++
}

// recentCreations returns the number of recent creations in a namespace.
func (t *Throttle) recentCreations(namespace string) int {
	for len(t.creations) > 0 && t.clock.Since(t.creations[0].at) >= recent {
		old := t.creations[0].namespace
		t.creations = t.creations[1:]
		if t.created[old]--; t.created[old] == 0 {
			delete(t.created, old)
		}
	}
	return t.created[namespace]
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
