package fluxtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// handle registers the services of the instance. Each handler holds the lock.
func (i *Instance) handle() {
	schedStatus, missing := "resource.sched-status", "sched.resource-status"
	if i.config.Old {
		schedStatus, missing = missing, schedStatus
	}
	for topic, h := range map[string]Handler{
		"attr.get":                   i.attrGet,
		"state-machine.get":          func(r *Request) { r.Respond(map[string]any{"state": i.state, "duration": 1.5}) },
		"overlay.health":             i.overlayHealth,
		"resource.status":            i.resourceStatus,
		schedStatus:                  i.schedStatus,
		missing:                      func(r *Request) { r.Error(syscall.ENOSYS, "") },
		"resource.drain":             i.drain,
		"resource.undrain":           i.undrain,
		"job-list.list":              i.jobList,
		"job-list.job-stats":         i.jobStats,
		"job-manager.events-journal": i.eventsJournal,
		"job-manager.raise":          i.raise,
		"job-manager.raiseall":       i.raiseAll,
		"job-manager.queue-list":     i.queueList,
		"job-manager.queue-status":   i.queueStatus,
		"job-manager.stats-get":      func(r *Request) { r.Respond(i.known()) },
	} {
		i.Handle(topic, func(r *Request) {
			i.mu.Lock()
			defer i.mu.Unlock()
			h(r)
		})
	}
	i.Handle("groups.get", i.groupsGet)
	if i.config.Old {
		i.Handle("job-manager.events-journal", nil) // it had another form
	}
}

func (i *Instance) attrGet(r *Request) {
	var in struct{ Name string }
	_ = r.Decode(&in)
	value := map[string]string{
		"rank": strconv.Itoa(int(i.config.Rank)), "size": strconv.Itoa(i.config.Size), "version": "0.88.0",
	}
	maps.Copy(value, i.config.Attrs)
	if i.config.Old {
		value["version"] = "0.49.0"
	}
	if value[in.Name] == "" {
		r.Error(syscall.ENOENT, "")
		return
	}
	r.Respond(map[string]any{"value": value[in.Name], "flags": 1})
}

// groupsGet answers each change if it is a stream, and does not hold the lock
// meanwhile.
func (i *Instance) groupsGet(r *Request) {
	var in struct{ Name string }
	if r.Decode(&in) != nil || in.Name != flux.GroupOnline {
		r.Error(syscall.EPROTO, "")
		return
	}
	for {
		i.mu.Lock()
		changed := i.watch
		r.Respond(map[string]any{"members": i.online})
		i.mu.Unlock()
		if r.Flags&flux.FlagStreaming == 0 {
			return
		}
		select {
		case <-changed:
		case <-r.Gone():
			return
		}
	}
}

func (i *Instance) overlayHealth(r *Request) {
	out := flux.Overlay{Rank: i.config.Rank, Status: flux.HealthFull, Seconds: 2}
	for rank := range i.all().Without(flux.IDs(i.config.Rank)).All() {
		child := flux.Overlay{Rank: rank, Status: flux.HealthFull}
		if !i.online.Contains(rank) {
			child.Status, out.Status = flux.HealthOffline, flux.HealthPartial
		}
		out.Children = append(out.Children, child)
	}
	r.Respond(out)
}

func (i *Instance) resourceStatus(r *Request) {
	drain := map[string]any{}
	for rank, d := range i.drained {
		drain[strconv.Itoa(int(rank))] = map[string]any{
			"timestamp": float64(d.since.UnixMicro()) / 1e6, "reason": d.reason,
		}
	}
	out := map[string]any{
		"R": i.resources(i.all(), i.config.Cores), "drain": drain,
		"online": i.online, "offline": i.all().Without(i.online), "exclude": i.config.Exclude,
	}
	if !i.config.Old {
		out["torpid"] = ""
	}
	r.Respond(out)
}

func (i *Instance) schedStatus(r *Request) {
	down := i.all().Without(i.online).Union(i.drainedRanks())
	r.Respond(map[string]any{
		"all":  i.resources(i.all().Without(i.config.Exclude), i.config.Cores),
		"down": i.resources(down.Without(i.config.Exclude), i.config.Cores), "allocated": i.allocated(),
	})
}

func (i *Instance) drain(r *Request) {
	ranks, reason, mode, ok := i.drainTargets(r)
	if !ok {
		return
	}
	if already := ranks.Intersect(i.drainedRanks()); mode != "update" && !already.Empty() {
		r.Error(syscall.EEXIST, fmt.Sprintf("rank(s) %s already drained", already))
		return
	}
	for rank := range ranks.All() {
		if _, ok := i.drained[rank]; !ok {
			i.drained[rank] = drained{reason, time.Now()}
		}
	}
	r.Respond(nil)
}

func (i *Instance) undrain(r *Request) {
	ranks, _, mode, ok := i.drainTargets(r)
	if !ok {
		return
	}
	if other := ranks.Without(i.drainedRanks()); !other.Empty() && (mode != "update" || i.config.Old) {
		r.Error(syscall.EINVAL, fmt.Sprintf("rank(s) %s not drained", other))
		return
	}
	for rank := range ranks.All() {
		delete(i.drained, rank)
	}
	r.Respond(nil)
}

func (i *Instance) jobList(r *Request) {
	var in struct {
		Limit      int `json:"max_entries"`
		States     flux.JobState
		Constraint struct{ States []string }
	}
	if err := r.Decode(&in); err != nil {
		r.Error(syscall.EPROTO, err.Error())
		return
	}
	jobs := []flux.Job{}
	for _, job := range i.jobs {
		wanted := slices.Contains(in.Constraint.States, job.State.String())
		if i.config.Old {
			wanted = job.State&in.States != 0
		}
		if wanted && (in.Limit == 0 || len(jobs) < in.Limit) {
			jobs = append(jobs, job)
		}
	}
	r.Respond(map[string]any{"jobs": jobs})
}

func (i *Instance) jobStats(r *Request) {
	count := func(c *flux.JobCounts, job flux.Job) {
		for state, n := range map[flux.JobState]*int{
			flux.JobDepend: &c.States.Depend, flux.JobPriority: &c.States.Priority, flux.JobSched: &c.States.Sched,
			flux.JobRun: &c.States.Run, flux.JobCleanup: &c.States.Cleanup, flux.JobInactive: &c.States.Inactive,
		} {
			if job.State == state {
				*n++
				c.States.Total++
			}
		}
		if i.raised[job.ID] {
			c.Canceled++
			if i.config.Old {
				c.Failed++
			}
		}
	}
	out := flux.JobStats{Queues: []flux.JobCounts{}}
	for _, name := range slices.Sorted(maps.Keys(i.queues)) {
		if name != "" {
			out.Queues = append(out.Queues, flux.JobCounts{Queue: name})
		}
	}
	for _, job := range i.jobs {
		count(&out.JobCounts, job)
		for n := range out.Queues {
			if out.Queues[n].Queue == job.Queue {
				count(&out.Queues[n], job)
			}
		}
	}
	r.Respond(out)
}

// known counts all jobs, also those in state "new", which jobStats leaves out.
func (i *Instance) known() map[string]int {
	inactive := 0
	for _, job := range i.jobs {
		if job.State == flux.JobInactive {
			inactive++
		}
	}
	return map[string]int{"active_jobs": len(i.jobs) - inactive, "inactive_jobs": inactive}
}

func (i *Instance) raise(r *Request) {
	var in struct{ ID flux.JobID }
	_ = r.Decode(&in)
	for n := range i.jobs {
		if i.jobs[n].ID == in.ID && i.jobs[n].State != flux.JobInactive {
			i.jobs[n].State = flux.JobInactive
			i.raised[in.ID] = true
			i.jobsChanged()
			r.Respond(nil)
			return
		}
	}
	r.Error(syscall.ENOENT, "unknown job id")
}

func (i *Instance) raiseAll(r *Request) {
	var in struct {
		DryRun bool `json:"dry_run"`
		States flux.JobState
	}
	_ = r.Decode(&in)
	count := 0
	for n := range i.jobs {
		if i.jobs[n].State&in.States != 0 {
			count++
			if !in.DryRun {
				i.jobs[n].State = flux.JobInactive
				i.raised[i.jobs[n].ID] = true
			}
		}
	}
	i.jobsChanged()
	r.Respond(map[string]int{"count": count, "errors": 0})
}

func (i *Instance) queueList(r *Request) {
	names := slices.Sorted(maps.Keys(i.queues))
	r.Respond(map[string]any{"queues": slices.DeleteFunc(names, func(name string) bool { return name == "" })})
}

func (i *Instance) queueStatus(r *Request) {
	var in struct{ Name string }
	_ = r.Decode(&in)
	q, ok := i.queues[in.Name]
	if !ok {
		r.Error(syscall.EINVAL, fmt.Sprintf("'%s' is not a valid queue", in.Name))
		return
	}
	r.Respond(q)
}
