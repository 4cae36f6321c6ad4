package diagnosis

import (
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/controller/resources"
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
	// ready is the largest number of ready pods so far.
	ready int32
	// next is the time of the next inspection, latest the time to which progress postpones
	// it at most.
	next, latest time.Time
	wait         time.Duration
	last         *Problem
}

// NewSchedule returns a Schedule that inspects pods once they have been unready for a time.
func NewSchedule(c clock.PassiveClock, after time.Duration) *Schedule {
	return &Schedule{clock: c, after: after, found: map[types.NamespacedName]*entry{}}
}

// Due returns the time until the next inspection of the pods, 0 if it is due, and the result of the last one. A
// change of the Job's size restarts the time. While more pods become ready, the cluster is only slow, and the
// inspection is postponed. known says that a previous leader found a problem.
func (s *Schedule) Due(key types.NamespacedName, job *batchv1.Job, known bool) (time.Duration, *Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, ready := s.clock.Now(), ptr.Deref(job.Status.Ready, 0)
	f := s.found[key]
	switch {
	case f == nil || f.job != job.UID || f.size != resources.Parallelism(job):
		first := f == nil
		f = &entry{job: job.UID, size: resources.Parallelism(job), ready: ready, next: now.Add(s.after)}
		f.latest = f.next.Add(f.scaled(checkMax))
		if first && known {
			f.next = now
		}
		s.found[key] = f
	case ready > f.ready:
		f.ready = ready
		if later := now.Add(s.after); later.After(f.next) && later.Before(f.latest) {
			f.next = later
		}
	}
	return max(0, f.next.Sub(now)), f.last
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
		f.wait = min(2*f.wait, f.scaled(checkMax))
	} else {
		f.wait = f.scaled(checkBase)
	}
	f.last = p
	f.next = s.clock.Now().Add(f.wait)
	f.latest = f.next.Add(f.scaled(checkMax))
	return f.wait
}

// podsPerCheck is the number of pods up to which the intervals between inspections are the shortest.
const podsPerCheck = 1000

// scaled makes inspections of large clusters, which take many requests, rarer.
func (f *entry) scaled(d time.Duration) time.Duration {
	return d * time.Duration(1+f.size/podsPerCheck)
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
