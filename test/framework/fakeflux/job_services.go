package main

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

func submitJob(b *broker, r *request) (any, error) {
	spec, err := decode[jobSpec](r)
	if err != nil {
		return nil, err
	}
	if spec.Ranks, err = constrain(spec.Requires, b.resources); err != nil {
		return nil, err
	}
	j := &job{User: r.user, Spec: spec, State: jobSched, Submitted: now()}
	b.update(func() {
		q := b.jobs.queues[spec.Queue]
		switch {
		case q == nil && spec.Queue == "":
			err = fail(syscall.EINVAL, "no queue specified")
			return
		case q == nil:
			err = fail(syscall.EINVAL, "Invalid queue '%s' specified", spec.Queue)
			return
		case !q.Enabled:
			err = fail(syscall.EINVAL, "job submission is disabled: %s", q.DisableReason)
			return
		case b.state != stateRun:
			err = fail(syscall.EINVAL, "the instance is not running")
			return
		}
		// Like those of Flux, ids grow with time.
		j.ID = max(b.jobs.lastID+1, uint64(time.Now().UnixMilli())<<10)
		b.jobs.lastID = j.ID
		b.jobs.all = append(b.jobs.all, j)
		b.jobs.revision++
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": j.ID}, nil
}

// attached is a response to fakeflux.attach: output, then the end.
type attached struct {
	Output    []output `json:"output,omitempty"`
	Started   bool     `json:"started,omitempty"`
	Ended     bool     `json:"ended,omitempty"`
	Status    int      `json:"status,omitempty"`
	Exception string   `json:"exception,omitempty"`
	Note      string   `json:"note,omitempty"`
}

type jobRequest struct {
	ID       uint64 `json:"id"`
	Severity int    `json:"severity"`
	Type     string `json:"type"`
	Note     string `json:"note"`
}

// attachJob sends the output of a job as it comes, and how it ended.
func attachJob(b *broker, r *request) (any, error) {
	in, err := decode[jobRequest](r)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	j := b.jobs.find(in.ID)
	b.mu.Unlock()
	if j == nil {
		return nil, fail(syscall.ENOENT, "job %v not found", flux.JobID(in.ID))
	}
	for sent := 0; ; {
		var out attached
		here := b.until(r.gone, func() bool {
			out = attached{Output: j.Output[sent:], Ended: j.State == jobInactive, Status: j.Status, Exception: j.Exception, Note: j.Note}
			return len(out.Output) > 0 || out.Ended
		})
		if !here {
			return nil, nil
		}
		sent += len(out.Output)
		r.answer(out, nil)
		if out.Ended {
			return nil, nil
		}
	}
}

// waitAll waits for the jobs that were submitted to be waited for.
func waitAll(b *broker, r *request) (any, error) {
	var ended []*job
	b.until(r.gone, func() bool {
		ended = nil
		for _, j := range b.jobs.all {
			if j.Spec.Waitable && !j.Waited {
				if j.State != jobInactive {
					return false
				}
				ended = append(ended, j)
			}
		}
		return true
	})
	var failures []string
	b.update(func() {
		for _, j := range ended {
			j.Waited = true
			if j.Result != completed {
				failures = append(failures, fmt.Sprintf("%v: %s", j, either(j.Note, fmt.Sprintf("task(s) exited with exit code %d", j.Status))))
			}
		}
	})
	return map[string]any{"count": len(ended), "failures": failures}, nil
}

func raiseOne(b *broker, r *request) (any, error) {
	in, err := decode[jobRequest](r)
	if err != nil {
		return nil, err
	}
	b.update(func() {
		j := b.jobs.find(in.ID)
		switch {
		case j == nil:
			err = fail(syscall.ENOENT, "unknown job id")
		case j.State == jobInactive:
			err = fail(syscall.ENOENT, "job is inactive")
		case r.roles&roleOwner == 0 && r.user != j.User:
			err = fail(syscall.EPERM, "guests can only raise exceptions on their own jobs")
		case in.Severity == 0:
			b.raise(j, in.Type, in.Note)
		}
	})
	return nil, err
}

func raiseAll(b *broker, r *request) (any, error) {
	in, err := decode[struct {
		DryRun bool          `json:"dry_run"`
		User   uint32        `json:"userid"`
		States flux.JobState `json:"states"`
		Type   string        `json:"type"`
		Note   string        `json:"note"`
	}](r)
	if err != nil {
		return nil, err
	}
	count := 0
	b.update(func() {
		for _, j := range b.jobs.all {
			if j.State&in.States == 0 || (in.User != anyUser && in.User != j.User) {
				continue
			}
			count++
			if !in.DryRun {
				b.raise(j, in.Type, in.Note)
			}
		}
	})
	return map[string]int{"count": count, "errors": 0}, nil
}

const anyUser = 0xffffffff

// listJobs knows one kind of constraint: states.
func listJobs(b *broker, r *request) (any, error) {
	in, err := decode[struct {
		Max        int `json:"max_entries"`
		Constraint struct {
			States []string `json:"states"`
		} `json:"constraint"`
	}](r)
	if err != nil {
		return nil, err
	}
	wanted := func(j *job) bool {
		for _, s := range in.Constraint.States {
			switch {
			case s == j.State.String(), s == "pending" && j.State == jobSched, s == "running" && j.State == jobRun,
				s == "active" && j.State != jobInactive:
				return true
			}
		}
		return len(in.Constraint.States) == 0
	}
	list := []map[string]any{}
	b.mu.Lock()
	defer b.mu.Unlock()
	// The active ones first, those that run before those that wait; then the last that ended.
	sorted := slices.Clone(b.jobs.all)
	slices.SortStableFunc(sorted, func(a, c *job) int {
		order := map[flux.JobState]int{jobSched: 0, jobRun: 1, jobInactive: 2}
		switch {
		case a.State != c.State:
			return order[a.State] - order[c.State]
		case a.State == jobSched:
			return int(a.ID>>10) - int(c.ID>>10)
		default:
			return int((c.Started - a.Started) * 1e3)
		}
	})
	for _, j := range sorted {
		if wanted(j) && (in.Max == 0 || len(list) < in.Max) {
			list = append(list, j.describe(b.resources))
		}
	}
	return map[string]any{"jobs": list}, nil
}

// describe is a job as job-list tells of it.
func (j *job) describe(r resourceSet) map[string]any {
	nodes, tasks, _ := j.Spec.wants()
	d := map[string]any{
		"id": j.ID, "userid": j.User, "state": j.State, "name": j.Spec.Name, "urgency": j.Spec.Urgency, "priority": j.Spec.Urgency,
		"ntasks": tasks, "t_submit": j.Submitted, "cwd": j.Spec.Cwd,
	}
	if j.Spec.Queue != "" {
		d["queue"] = j.Spec.Queue
	}
	if nodes > 0 {
		d["nnodes"] = nodes
	}
	if len(j.Alloc) > 0 {
		set := r.only(func(rank int) bool { _, ok := j.Alloc[rank]; return ok })
		d["nnodes"], d["ranks"], d["nodelist"], d["t_run"] = len(j.Alloc), formatIDs(j.ranks()), set.hostlist(), j.Started
	}
	if j.State == jobInactive {
		d["t_inactive"], d["result"], d["success"] = j.Ended, map[string]int{completed: 1, failed: 2, canceled: 4, timedOut: 8}[j.Result], j.Result == completed
		d["waitstatus"] = j.Status << 8
	}
	return d
}

func jobStats(b *broker, _ *request) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := flux.JobStats{Queues: []flux.JobCounts{}}
	out.JobCounts = b.count(func(*job) bool { return true })
	for name := range b.jobs.queues {
		if name != "" {
			c := b.count(func(j *job) bool { return j.Spec.Queue == name })
			c.Queue = name
			out.Queues = append(out.Queues, c)
		}
	}
	return out, nil
}

func (b *broker) count(among func(*job) bool) (c flux.JobCounts) {
	for _, j := range b.jobs.all {
		if !among(j) {
			continue
		}
		c.States.Total++
		switch j.State {
		case jobSched:
			c.States.Sched++
		case jobRun:
			c.States.Run++
		case jobInactive:
			c.States.Inactive++
		}
		switch j.Result {
		case "":
		case completed:
			c.Successful++
		case canceled:
			c.Canceled++
		case timedOut:
			c.TimedOut++
		default:
			c.Failed++
		}
	}
	return c
}

func managerStats(b *broker, _ *request) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.count(func(*job) bool { return true }).States
	return map[string]int{"active_jobs": c.Total - c.Inactive, "inactive_jobs": c.Inactive}, nil
}

func queueList(b *broker, _ *request) (any, error) {
	names := []string{}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.jobs.queues {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return map[string]any{"queues": names}, nil
}

type queueRequest struct {
	Name   *string `json:"name"`
	Start  bool    `json:"start"`
	Enable bool    `json:"enable"`
	All    bool    `json:"all"`
	Reason string  `json:"reason"`
}

// chosen are the queues that a request is about. mu is held.
func (b *broker) chosen(in queueRequest) ([]*jobQueue, error) {
	if in.Name != nil {
		q := b.jobs.queues[*in.Name]
		if q == nil || *in.Name == "" {
			return nil, fail(syscall.EINVAL, "invalid queue: %s", *in.Name)
		}
		return []*jobQueue{q}, nil
	}
	if b.jobs.queues[""] == nil && !in.All {
		return nil, fail(syscall.EINVAL, "Use --all to apply this command to all queues")
	}
	var all []*jobQueue
	for _, q := range b.jobs.queues {
		all = append(all, q)
	}
	return all, nil
}

func queueStatus(b *broker, r *request) (any, error) {
	in, err := decode[queueRequest](r)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	queues, err := b.chosen(in)
	if err != nil {
		return nil, err
	}
	return *queues[0], nil
}

func queueStart(b *broker, r *request) (any, error) {
	return b.changeQueues(r, func(in queueRequest, q *jobQueue) {
		q.Started, q.StopReason = in.Start, ""
		if !in.Start {
			q.StopReason = in.Reason
		}
	})
}

func queueEnable(b *broker, r *request) (any, error) {
	return b.changeQueues(r, func(in queueRequest, q *jobQueue) {
		q.Enabled, q.DisableReason = in.Enable, ""
		if !in.Enable {
			q.DisableReason = in.Reason
		}
	})
}

func (b *broker) changeQueues(r *request, change func(queueRequest, *jobQueue)) (any, error) {
	in, err := decode[queueRequest](r)
	if err != nil {
		return nil, err
	}
	b.update(func() {
		var queues []*jobQueue
		if queues, err = b.chosen(in); err != nil {
			return
		}
		for _, q := range queues {
			change(in, q)
		}
		b.jobs.revision++
	})
	return nil, err
}

// idle waits until no job runs. Those that wait may stay.
func idle(b *broker, r *request) (any, error) {
	pending := 0
	b.until(r.gone, func() bool {
		pending = 0
		for _, j := range b.jobs.all {
			if q := b.jobs.queues[j.Spec.Queue]; j.State == jobRun || (j.State == jobSched && j.Spec.Urgency > 0 && q != nil && q.Started) {
				return false
			}
			if j.State == jobSched {
				pending++
			}
		}
		return true
	})
	return map[string]int{"pending": pending}, nil
}
