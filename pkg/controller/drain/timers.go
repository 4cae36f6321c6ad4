package drain

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

const (
	// recordInterval is how often the elapsed time of a drain is recorded.
	recordInterval = 10 * time.Second
	// maxUnrecorded is the longest time that is assumed to have passed since the last record. It is the time until a
	// record and about half the time until another replica leads, so that the error is less than 30 s in either
	// direction, whatever the clock of that replica says.
	maxUnrecorded = 20 * time.Second
)

// Timers measure how long drains last, each with the clock of one process. The clocks of two controllers may differ by
// hours, so a process that continues a drain starts from the elapsed time that the last one recorded.
type Timers struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	timers map[types.NamespacedName]timer
}

type timer struct {
	// since identifies the drain, and size what it is for.
	since time.Time
	size  int32
	// began is when this process saw the drain first, and before the time that had elapsed then.
	began  time.Time
	before time.Duration
}

// NewTimers returns Timers that know no drain.
func NewTimers(c clock.PassiveClock) *Timers {
	return &Timers{clock: c, timers: map[types.NamespacedName]timer{}}
}

// Elapsed returns how long a drain lasts.
func (t *Timers) Elapsed(key types.NamespacedName, drain *v1alpha2.DrainStatus) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	current, known := t.timers[key]
	if !known || !current.since.Equal(drain.Since.Time) || current.size != drain.Size {
		recorded := time.Duration(drain.ElapsedSeconds) * time.Second
		before := min(max(now.Sub(drain.Since.Time), recorded), recorded+maxUnrecorded)
		current = timer{since: drain.Since.Time, size: drain.Size, began: now, before: before}
		t.timers[key] = current
	}
	return current.before + now.Sub(current.began)
}

// Forget drops the timer of a MiniCluster.
func (t *Timers) Forget(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.timers, key)
}

// Record records the elapsed time of a drain if the last record is old.
func Record(drain *v1alpha2.DrainStatus, elapsed time.Duration) {
	if elapsed-time.Duration(drain.ElapsedSeconds)*time.Second >= recordInterval {
		drain.ElapsedSeconds = int32(min(elapsed, maxElapsed) / time.Second)
	}
}

// maxElapsed is the longest elapsed time that is recorded: no timeout is longer.
const maxElapsed = (1<<31 - 1) * time.Second
