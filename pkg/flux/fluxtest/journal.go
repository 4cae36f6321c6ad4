package fluxtest

import (
	"reflect"
	"slices"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

// journal is a reader of the journal of jobs, with the jobs that were sent to it.
type journal struct {
	request *Request
	allow   map[string]int
	sent    map[flux.JobID]*Job
}

// eventsJournal sends all active jobs, and then every change.
func (i *Instance) eventsJournal(r *Request) {
	in, err := Decode[struct{ Allow map[string]int }](r)
	switch {
	case r.Roles&RoleOwner == 0:
		err = Fail(syscall.EPERM, "Request requires owner credentials")
	case r.Flags&flux.FlagStreaming == 0:
		err = Fail(syscall.EPROTO, "job-manager.events requires streaming RPC flag")
	}
	if err != nil {
		r.Answer(nil, err)
		return
	}
	j := &journal{request: r, allow: in.Allow, sent: map[flux.JobID]*Job{}}
	i.Update(func() {
		j.tell(i.State.Jobs)
		r.Respond(map[string]any{"id": -1, "events": []any{}})
		i.journals = append(i.journals, j)
	})
}

func event(name string, context map[string]any) map[string]any {
	return map[string]any{"timestamp": 1.5, "name": name, "context": context}
}

// tell sends the changes of jobs. If a job is in an earlier state, or is another job with the same ID, the previous
// one has ended.
func (j *journal) tell(jobs []*Job) {
	now := map[flux.JobID]*Job{}
	for _, job := range jobs {
		now[job.ID] = job
	}
	for id, was := range j.sent {
		is := now[id]
		if is != nil && is.State == was.State && reflect.DeepEqual(is.Job, was.Job) {
			continue
		}
		if is != nil && is.State > was.State && is.State < flux.JobInactive {
			j.entry(id, nil, events(is)[len(events(was)):]...)
			j.sent[id] = new(*is)
			continue
		}
		delete(j.sent, id)
		if is == nil || is.Result != Completed {
			j.entry(id, nil, event("exception", map[string]any{"severity": 0, "type": "cancel"}))
		}
		j.entry(id, nil, event("clean", nil))
	}
	for _, job := range jobs {
		if j.sent[job.ID] != nil || job.State == flux.JobInactive {
			continue
		}
		j.sent[job.ID] = new(*job)
		j.entry(job.ID, jobspec(job), events(job)...)
	}
}

// entry sends the events that the reader requested.
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

// events returns the events that lead to the state of a job.
func events(job *Job) []map[string]any {
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

// jobspec returns a jobspec that fits the attributes of a job.
func jobspec(job *Job) map[string]any {
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
	if job.Constraint != nil {
		system["constraints"] = job.Constraint
	}
	return map[string]any{
		"version": 1, "resources": []any{resources},
		"tasks":      []any{map[string]any{"command": []string{"true"}, "slot": "task", "count": map[string]any{"per_slot": 1}}},
		"attributes": map[string]any{"system": system},
	}
}
