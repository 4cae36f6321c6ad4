package diagnosis

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Bounds of the time between two inspections of the pods of a cluster that lacks ready pods.
const (
	checkBase = 5 * time.Second
	checkMax  = time.Minute
)

// Schedule records which clusters lack ready pods, since when, and the result of the last inspection. A new process
// starts with an empty Schedule and waits again, unless the status shows that a problem was found before.
type Schedule struct {
	clock clock.PassiveClock
	// after is the time that pods have to become ready before they are inspected; pods are never inspected if it is not
	// positive.
	after time.Duration

	mu    sync.Mutex
	found map[types.NamespacedName]*entry
}

// entry is the state of a cluster that lacks ready pods.
type entry struct {
	job  types.UID
	size int32
	next time.Time
	wait time.Duration
	last *Problem
}

// NewSchedule returns a Schedule that inspects pods once they have been unready for a time.
func NewSchedule(c clock.PassiveClock, after time.Duration) *Schedule {
	return &Schedule{clock: c, after: after, found: map[types.NamespacedName]*entry{}}
}

// Due returns the time until the next inspection of the pods, 0 if it is due, and the result of the last one. A
// change of the Job's size restarts the time. known says that a previous leader found a problem.
func (s *Schedule) Due(key types.NamespacedName, job types.UID, size int32, known bool) (time.Duration, *Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.found[key]
	if f == nil || f.job != job || f.size != size {
		first := f == nil
		f = &entry{job: job, size: size, next: s.clock.Now().Add(s.after)}
		if first && known {
			f.next = s.clock.Now()
		}
		s.found[key] = f
	}
	return max(0, f.next.Sub(s.clock.Now())), f.last
}

// Checked records the result of an inspection and returns the time until the next one, which grows while the result
// stays the same.
func (s *Schedule) Checked(key types.NamespacedName, p *Problem) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.found[key]
	if f == nil {
		return checkMax
	}
	if f.wait > 0 && reasonOf(f.last) == reasonOf(p) {
		f.wait = min(2*f.wait, checkMax)
	} else {
		f.wait = checkBase
	}
	f.last = p
	f.next = s.clock.Now().Add(f.wait)
	return f.wait
}

// Forget drops the records of a MiniCluster.
func (s *Schedule) Forget(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.found, key)
}

func reasonOf(p *Problem) string {
	if p == nil {
		return ""
	}
	return p.Reason
}

// Enabled reports whether pods are inspected at all.
func (s *Schedule) Enabled() bool { return s.after > 0 }
