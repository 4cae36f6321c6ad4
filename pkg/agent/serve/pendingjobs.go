package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"minicluster.internal/operator/pkg/flux"
)

// journalEvents are the events that change which jobs are pending and what they request, and those that contain the
// jobspec (validate, before Flux 0.63).
var journalEvents = [...]string{
	"submit", "validate", "depend", "priority", "urgency", "jobspec-update", "flux-restart", "alloc", "exception", "clean", "invalidate",
}

// pendingJobs counts the jobs that wait for resources by their request. It follows every change, because listing jobs
// loads a broker in proportion to their number. It is a [flux.Follower].
type pendingJobs struct {
	// caughtUp is closed when all jobs are known, and ended when the journal has ended.
	caughtUp, ended chan struct{}

	mu sync.Mutex
	// jobs are the jobs without resources.
	jobs map[flux.JobID]*pendingJob
	// counts are those of the jobs that wait for resources and are not held.
	counts map[jobRequest]int
	// allocs is the number of jobs that got resources.
	allocs int
	// err is why there is no journal.
	err error
	// stale: the counts are incomplete, and the journal has to be read again.
	stale bool
}

// pendingJob is a job without resources.
type pendingJob struct {
	request  jobRequest
	state    flux.JobState
	priority int64
}

// counted reports whether the job would run if there were enough resources.
func (j *pendingJob) counted() bool { return j.state == flux.JobSched && j.priority > 0 }

func newPendingJobs() *pendingJobs {
	return &pendingJobs{
		caughtUp: make(chan struct{}), ended: make(chan struct{}),
		jobs: map[flux.JobID]*pendingJob{}, counts: map[jobRequest]int{},
	}
}

// await waits until all jobs are known, or until the connection is lost, and returns the current counts.
func (w *pendingJobs) await(ctx context.Context, lost <-chan struct{}) (map[jobRequest]int, error) {
	select {
	case <-w.caughtUp:
		w.mu.Lock()
		defer w.mu.Unlock()
		return maps.Clone(w.counts), nil
	case <-w.ended:
		return nil, w.err
	case <-lost:
		return nil, errors.New("read the journal of jobs: the connection is lost")
	case <-ctx.Done():
		return nil, fmt.Errorf("read the journal of jobs: %w", ctx.Err())
	}
}

// isStale reports whether the counts are incomplete.
func (w *pendingJobs) isStale() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stale
}

// allocations returns how many jobs got resources since the journal was opened.
func (w *pendingJobs) allocations() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.allocs
}

// CaughtUp records that all jobs are known.
func (w *pendingJobs) CaughtUp() {
	if !w.isCaughtUp() {
		close(w.caughtUp)
	}
}

func (w *pendingJobs) isCaughtUp() bool {
	select {
	case <-w.caughtUp:
		return true
	default:
		return false
	}
}

// Ended records that the journal has ended.
func (w *pendingJobs) Ended(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The next attempt needs a new follower: a starting broker answers before it has a job manager.
	w.stale = true
	if w.isCaughtUp() {
		return
	}
	w.err = err
	close(w.ended)
}

// Entry applies an entry of the journal (RFC 21).
func (w *pendingJobs) Entry(e flux.JournalEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	job := w.jobs[e.ID]
	if job == nil {
		if len(e.Jobspec) == 0 {
			return // it has or had resources
		}
		job = &pendingJob{request: requestOfJob(flux.Job{}), state: flux.JobNew}
		var spec flux.Jobspec
		if json.Unmarshal(e.Jobspec, &spec) == nil {
			job.request = requestOfSpec(spec)
		} else { // the requested resources are unknown
			job.request.queue, job.request.requires = spec.Queue, spec.Requires
		}
	} else {
		w.count(job, -1)
	}
	for _, event := range e.Events {
		// The jobspec of a past entry contains all updates.
		if event.Name == "jobspec-update" && w.isCaughtUp() && !job.request.update(event.Context) {
			w.stale = true
		}
		job.apply(event)
		if event.Name == "alloc" {
			w.allocs++
		}
	}
	if job.state > flux.JobSched {
		delete(w.jobs, e.ID)
		return
	}
	w.jobs[e.ID] = job
	w.count(job, 1)
}

func (w *pendingJobs) count(job *pendingJob, n int) {
	if !job.counted() {
		return
	}
	if w.counts[job.request] += n; w.counts[job.request] == 0 {
		delete(w.counts, job.request)
	}
}

// apply applies an event to a job, as far as it matters before the job runs.
func (j *pendingJob) apply(event flux.JobEvent) {
	var context struct {
		Priority int64
		Severity *int
	}
	switch event.Name {
	case "priority", "exception":
		if json.Unmarshal(event.Context, &context) != nil {
			return
		}
	}
	switch event.Name {
	case "depend":
		if j.state == flux.JobNew {
			j.state = flux.JobPriority
		}
	case "priority":
		j.priority = context.Priority
		if j.state == flux.JobPriority {
			j.state = flux.JobSched
		}
	case "urgency", "jobspec-update", "flux-restart":
		if j.state == flux.JobSched {
			j.state = flux.JobPriority
		}
	case "alloc":
		j.state = flux.JobRun
	case "exception":
		if context.Severity != nil && *context.Severity == 0 {
			j.state = flux.JobCleanup
		}
	case "clean", "invalidate":
		j.state = flux.JobInactive
	}
}

// update applies changes to a jobspec: values by their paths. It returns false if it cannot apply a relevant change.
func (w *jobRequest) update(context json.RawMessage) bool {
	var changes map[string]json.RawMessage
	if json.Unmarshal(context, &changes) != nil {
		return false
	}
	known := true
	for path, value := range changes {
		switch {
		case path == "attributes.system.queue":
			known = json.Unmarshal(value, &w.queue) == nil && known
		case path == "attributes.system.constraints":
			w.requires = string(value)
		case strings.HasPrefix(path, "attributes.system.constraints."), !strings.HasPrefix(path, "attributes.system."):
			known = false
		}
	}
	return known
}
