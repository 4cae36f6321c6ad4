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
	// progress is when one of the clusters last made progress or became ready.
	progress time.Time
}

// entry is the state of a cluster that lacks ready pods.
type entry struct {
	job  types.UID
	size int32
	// ready and active are the largest numbers of ready pods and of all pods so far.
	ready, active int32
	// terminating is the largest number of terminating pods so far, remaining the smallest one since.
	terminating, remaining int32
	// pods is the number of pods that an inspection reads, most the largest one so far.
	pods, most int32
	// next is the time of the next inspection, first the time at which it would be without progress.
	next, first time.Time
	wait        time.Duration
	last        *Problem
}

// NewSchedule returns a Schedule that inspects pods once they have been unready for a time.
func NewSchedule(c clock.PassiveClock, after time.Duration) *Schedule {
	return &Schedule{clock: c, after: after, found: map[types.NamespacedName]*entry{}}
}

// manySlow is the number of clusters that lack ready pods from which on their nodes or the control plane are probably
// only slow, as long as one of them makes progress.
const manySlow = 50

// Due returns the time until the next inspection of the pods, 0 if it is due, and the result of the last one. A
// change of the Job's size restarts the time. While the Job makes progress, or many clusters are slow together, the
// inspection is postponed. known says that a previous leader found a problem.
func (s *Schedule) Due(key types.NamespacedName, job *batchv1.Job, known bool) (time.Duration, *Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	f := s.found[key]
	switch {
	case f == nil || f.job != job.UID || f.size != resources.Parallelism(job):
		first := f == nil
		f = &entry{job: job.UID, size: resources.Parallelism(job)}
		f.observe(job)
		f.next = now.Add(f.scaled(s.after))
		f.first = f.next
		if first && known {
			f.next = now
		}
		s.found[key] = f
	case f.observe(job):
		s.progress = now
		f.postpone(now.Add(max(f.scaled(s.after), s.after+f.maxStall())))
	case f.wait == 0 && !f.next.After(now) && len(s.found) > manySlow: // the first inspection
		f.postpone(s.progress.Add(s.after))
	}
	return max(0, f.next.Sub(now)), f.last
}

// postpone moves the next inspection to a later time, if that is not too late.
func (f *entry) postpone(to time.Time) {
	if to.After(f.next) && to.Before(f.first.Add(f.maxProgress())) {
		f.next = to
	}
}

// observe records the counters of a Job, and reports whether they are progress: more pods exist or are ready than ever
// before, or more pods terminate than before, or fewer of them remain.
func (f *entry) observe(job *batchv1.Job) bool {
	ready, active, terminating := ptr.Deref(job.Status.Ready, 0), job.Status.Active, resources.Terminating(job)
	progress := ready > f.ready || active > f.active || terminating > f.terminating || terminating < f.remaining
	if terminating > f.terminating {
		f.remaining = terminating
	}
	f.ready, f.active, f.terminating, f.remaining = max(f.ready, ready), max(f.active, active), max(f.terminating, terminating), min(f.remaining, terminating)
	f.pods = resources.PodCount(job)
	f.most = max(f.most, f.pods)
	return progress
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
	f.first = f.next
	return f.wait
}

// podsPerCheck is the number of pods up to which the intervals between inspections are the shortest.
const podsPerCheck = 1000

// scaled makes inspections of large clusters, which take many requests, rarer.
func (f *entry) scaled(d time.Duration) time.Duration {
	return d * time.Duration(1+f.pods/podsPerCheck)
}

// timePerPod is how long progress may take for each pod: five times as long as on a busy cluster.
const timePerPod = 500 * time.Millisecond

// stallPerPod is the pause between two steps of progress for each pod: the Job controller creates up to 500 pods before
// it counts them.
const stallPerPod = 100 * time.Millisecond

// maxStall is how much longer than usual no progress means that the cluster is slow.
func (f *entry) maxStall() time.Duration {
	return min(checkMax, time.Duration(f.pods)*stallPerPod)
}

// maxProgress is how long progress postpones an inspection. Without a limit, pods that start one after the other would
// hide the problem of another pod for hours.
func (f *entry) maxProgress() time.Duration {
	return checkMax + time.Duration(f.most)*timePerPod
}

// Forget drops the records of a MiniCluster.
func (s *Schedule) Forget(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.found[key]; ok {
		delete(s.found, key)
		s.progress = s.clock.Now()
	}
}

func reasonOf(p *Problem) string {
	if p == nil {
		return ""
	}
	return p.Reason
}

// Enabled reports whether pods are inspected at all.
func (s *Schedule) Enabled() bool { return s.after > 0 }
