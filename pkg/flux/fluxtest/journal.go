package fluxtest

import (
	"reflect"
	"slices"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

// journal is who listens to the journal of jobs, and what it has been told.
type journal struct {
	request *Request
	allow   map[string]int
	told    map[flux.JobID]flux.Job
}

// eventsJournal tells of all jobs that are active, and of every change from then on.
func (i *Instance) eventsJournal(r *Request) {
	if r.Flags&flux.FlagStreaming == 0 {
		r.Error(syscall.EPROTO, "job-manager.events requires streaming RPC flag")
		return
	}
	var in struct{ Allow map[string]int }
	if err := r.Decode(&in); err != nil {
		r.Error(syscall.EPROTO, err.Error())
		return
	}
	j := &journal{request: r, allow: in.Allow, told: map[flux.JobID]flux.Job{}}
	j.tell(i.jobs)
	r.Respond(map[string]any{"id": -1, "events": []any{}})
	i.journals = append(i.journals, j)
}

// jobsChanged tells the journals.
func (i *Instance) jobsChanged() {
	for _, j := range i.journals {
		j.tell(i.jobs)
	}
}

func event(name string, context map[string]any) map[string]any {
	return map[string]any{"timestamp": 1.5, "name": name, "context": context}
}

// tell tells what is new of jobs: one that is not as it was has ended, and there may
// be another with its id.
func (j *journal) tell(jobs []flux.Job) {
	now := map[flux.JobID]flux.Job{}
	for _, job := range jobs {
		now[job.ID] = job
	}
	for id, job := range j.told {
		if !reflect.DeepEqual(job, now[id]) {
			delete(j.told, id)
			j.entry(id, nil, event("exception", map[string]any{"severity": 0, "type": "cancel"}))
			j.entry(id, nil, event("clean", nil))
		}
	}
	for _, job := range jobs {
		if _, told := j.told[job.ID]; told || job.State == flux.JobInactive {
			continue
		}
		j.told[job.ID] = job
		j.entry(job.ID, jobspec(job), events(job)...)
	}
}

// entry tells those events that are allowed.
func (j *journal) entry(id flux.JobID, jobspec map[string]any, events ...map[string]any) {
	out := map[string]any{"id": id, "events": slices.DeleteFunc(events, func(e map[string]any) bool {
		_, allowed := j.allow[e["name"].(string)]
		return j.allow != nil && !allowed
	})}
	if jobspec != nil {
		out["jobspec"] = jobspec
	}
	j.request.Respond(out)
}

// events are what has happened to a job until it is in its state.
func events(job flux.Job) []map[string]any {
	priority := int64(16)
	switch {
	case job.Priority != nil:
		priority = *job.Priority
	case job.Urgency != nil:
		priority = int64(*job.Urgency)
	}
	out := []map[string]any{event("submit", map[string]any{"urgency": 16, "userid": 0, "flags": 0, "version": 1})}
	for _, next := range []struct {
		state flux.JobState
		event map[string]any
	}{
		{flux.JobDepend, event("validate", nil)},
		{flux.JobPriority, event("depend", nil)},
		{flux.JobSched, event("priority", map[string]any{"priority": priority})},
		{flux.JobRun, event("alloc", nil)},
		{flux.JobCleanup, event("finish", map[string]any{"status": 0})},
	} {
		if job.State >= next.state {
			out = append(out, next.event)
		}
	}
	return out
}

// jobspec is what a job would have had to ask for, to be listed as it is.
func jobspec(job flux.Job) map[string]any {
	vertex := func(kind string, count int, with ...any) map[string]any {
		v := map[string]any{"type": kind, "count": count}
		if len(with) > 0 {
			v["with"] = with
		}
		return v
	}
	slot := vertex("slot", max(job.Cores, job.Tasks, 1), vertex("core", 1))
	slot["label"] = "task"
	resources := slot
	if job.Nodes > 0 {
		slot["count"] = max(1, job.Cores/job.Nodes)
		resources = vertex("node", job.Nodes, slot)
		resources["exclusive"] = job.Cores == 0
	}
	system := map[string]any{"duration": 0}
	if job.Queue != "" {
		system["queue"] = job.Queue
	}
	return map[string]any{
		"version": 1, "resources": []any{resources},
		"tasks":      []any{map[string]any{"command": []string{"true"}, "slot": "task", "count": map[string]any{"per_slot": 1}}},
		"attributes": map[string]any{"system": system},
	}
}
