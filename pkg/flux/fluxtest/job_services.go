package fluxtest

import (
	"cmp"
	"maps"
	"slices"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

// jobList lists the active jobs first (running before pending), then inactive jobs from the latest.
func (i *Instance) jobList(r *Request) (any, error) {
	in, err := Decode[struct {
		Limit      int `json:"max_entries"`
		States     flux.JobState
		Constraint struct{ States []string }
	}](r)
	if err != nil {
		return nil, err
	}
	states := in.States
	if !i.old {
		states = namedStates(in.Constraint.States)
	}
	jobs := slices.DeleteFunc(slices.Clone(i.State.Jobs), func(j *Job) bool { return j.State&states == 0 })
	slices.SortStableFunc(jobs, func(a, b *Job) int {
		if a.State&flux.JobPending != 0 && b.State&flux.JobPending != 0 {
			return cmp.Compare(a.Submitted, b.Submitted)
		}
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(b.Ended, a.Ended), cmp.Compare(b.Started, a.Started))
	})
	if in.Limit > 0 {
		jobs = jobs[:min(in.Limit, len(jobs))]
	}
	out := []Job{} // copies, because they are encoded later
	for _, job := range jobs {
		out = append(out, *job)
	}
	return map[string]any{"jobs": out}, nil
}

// namedStates returns the states of a request, or all states if it names none.
func namedStates(names []string) (states flux.JobState) {
	sets := map[string]flux.JobState{"pending": flux.JobPending, "running": flux.JobRunning, "active": flux.JobActive}
	for state := flux.JobNew; state <= flux.JobInactive; state <<= 1 {
		sets[state.String()] = state
	}
	if len(names) == 0 {
		return ^flux.JobNew
	}
	for _, name := range names {
		states |= sets[name]
	}
	return states
}

func (i *Instance) jobStats(*Request) (any, error) {
	out := flux.JobStats{Queues: []flux.JobCounts{}}
	for _, name := range slices.Sorted(maps.Keys(i.State.Queues)) {
		if name != "" {
			out.Queues = append(out.Queues, flux.JobCounts{Queue: name})
		}
	}
	for _, job := range i.State.Jobs {
		i.count(&out.JobCounts, job)
		for n := range out.Queues {
			if out.Queues[n].Queue == job.Queue {
				i.count(&out.Queues[n], job)
			}
		}
	}
	return out, nil
}

func (i *Instance) count(c *flux.JobCounts, job *Job) {
	for state, n := range map[flux.JobState]*int{
		flux.JobDepend: &c.States.Depend, flux.JobPriority: &c.States.Priority, flux.JobSched: &c.States.Sched,
		flux.JobRun: &c.States.Run, flux.JobCleanup: &c.States.Cleanup, flux.JobInactive: &c.States.Inactive,
	} {
		if job.State == state {
			*n++
			c.States.Total++
		}
	}
	for result, n := range map[int]*int{
		Completed: &c.Successful, Failed: &c.Failed, Canceled: &c.Canceled, TimedOut: &c.TimedOut,
	} {
		if job.Result == result {
			*n++
		}
	}
	if i.old && (job.Result == Canceled || job.Result == TimedOut) {
		c.Failed++
	}
}

// managerStats counts all jobs, including those in state "new", which jobStats omits.
func (i *Instance) managerStats(*Request) (any, error) {
	inactive := 0
	for _, job := range i.State.Jobs {
		if job.State == flux.JobInactive {
			inactive++
		}
	}
	return map[string]int{"active_jobs": len(i.State.Jobs) - inactive, "inactive_jobs": inactive}, nil
}

// RaiseRequest is the payload of job-manager.raise and job-manager.raiseall.
type RaiseRequest struct {
	ID       flux.JobID    `json:"id,omitempty"`
	DryRun   bool          `json:"dry_run"`
	UserID   uint32        `json:"userid"`
	States   flux.JobState `json:"states"`
	Severity int           `json:"severity"`
	Type     string        `json:"type"`
	Note     string        `json:"note"`
}

// anyUser is the user of a request about the jobs of all users.
const anyUser = ^uint32(0)

func (i *Instance) raise(r *Request) (any, error) {
	in, err := Decode[RaiseRequest](r)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(i.State.Jobs, func(j *Job) bool { return j.ID == in.ID })
	switch {
	case at < 0:
		return nil, Fail(syscall.ENOENT, "unknown job id")
	case i.State.Jobs[at].State == flux.JobInactive:
		return nil, Fail(syscall.ENOENT, "job is inactive")
	case r.Roles&RoleOwner == 0 && r.UserID != i.State.Jobs[at].UserID:
		return nil, Fail(syscall.EPERM, "guests can only raise exceptions on their own jobs")
	case in.Severity == 0:
		i.Except(i.State.Jobs[at], in.Type, in.Note)
	}
	return nil, nil
}

func (i *Instance) raiseAll(r *Request) (any, error) {
	in, err := Decode[RaiseRequest](r)
	count := 0
	for _, job := range i.State.Jobs {
		if job.State&in.States == 0 || (in.UserID != anyUser && in.UserID != job.UserID) {
			continue
		}
		count++
		if !in.DryRun {
			i.Except(job, in.Type, in.Note)
		}
	}
	return map[string]int{"count": count, "errors": 0}, err
}

// Except raises a fatal exception on a job, unless it already has one. It must be called within [Instance.Update].
func (i *Instance) Except(job *Job, kind, note string) {
	if job.State == flux.JobInactive || job.Exception != "" {
		return
	}
	job.Exception, job.Note = kind, note
	if i.Raise != nil {
		i.Raise(job)
		return
	}
	job.End(1)
}
