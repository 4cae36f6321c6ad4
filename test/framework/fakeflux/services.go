package main

import (
	"cmp"
	"fmt"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// offer registers the services of the lead for followers and commands, in addition to the services of Flux.
func (b *broker) offer() {
	if b.rank != 0 {
		return
	}
	b.Handle("overlay.hello", b.hello)
	b.Handle("overlay.ping", b.ping)
	b.Handle("overlay.goodbye", b.goodbye)
	b.Offer("job-manager.idle", false, b.idle)
	// The payloads of these services differ from those of Flux.
	b.Offer("fakeflux.submit", true, b.submit)
	b.Handle("fakeflux.attach", b.attach)
	b.Offer("fakeflux.wait-all", false, b.waitAll)
	b.Offer("fakeflux.dump", false, b.dump)
	b.Offer("fakeflux.shutdown", false, b.shutdown)
}

func (b *broker) submit(r *fluxtest.Request) (any, error) {
	spec, err := fluxtest.Decode[jobSpec](r)
	if err != nil {
		return nil, err
	}
	j, err := b.newJob(r.UserID, spec)
	if err != nil {
		return nil, err
	}
	b.Update(func() {
		q := b.State.Queues[spec.Queue]
		switch {
		case q == nil && spec.Queue == "":
			err = fluxtest.Fail(syscall.EINVAL, "no queue specified")
		case q == nil:
			err = fluxtest.Fail(syscall.EINVAL, "Invalid queue '%s' specified", spec.Queue)
		case !q.Enabled:
			err = fluxtest.Fail(syscall.EINVAL, "job submission is disabled: %s", q.DisableReason)
		case b.State.Broker != flux.StateRun:
			err = fluxtest.Fail(syscall.EINVAL, "the instance is not running")
		default:
			// IDs grow with time, like those of Flux.
			j.ID = flux.JobID(time.Now().UnixMilli()) << 10
			if n := len(b.jobs); n > 0 {
				j.ID = max(j.ID, b.jobs[n-1].ID+1)
			}
			b.add(j)
		}
	})
	return map[string]any{"id": j.ID}, err
}

// add must be called within Update.
func (b *broker) add(j *job) {
	b.jobs, b.State.Jobs = append(b.jobs, j), append(b.State.Jobs, j.Job)
	b.revision++
}

// attached is a response of fakeflux.attach: output, then the end.
type attached struct {
	Output    []output `json:"output,omitempty"`
	Ended     bool     `json:"ended,omitempty"`
	Status    int      `json:"status,omitempty"`
	Exception string   `json:"exception,omitempty"`
	Note      string   `json:"note,omitempty"`
}

// attach sends the output of a job as it arrives, and then how it ended.
func (b *broker) attach(r *fluxtest.Request) {
	in, err := fluxtest.Decode[fluxtest.RaiseRequest](r)
	var j *job
	b.Read(func() { j = b.find(in.ID) })
	if j == nil && err == nil {
		err = fluxtest.Fail(syscall.ENOENT, "job %v not found", in.ID)
	}
	for sent := 0; err == nil; {
		var out attached
		if !b.Wait(r.Gone(), func() bool {
			out = attached{
				Output: j.Output[sent:], Ended: j.State == flux.JobInactive, Status: j.ExitCode(),
				Exception: j.Exception, Note: j.Note,
			}
			return len(out.Output) > 0 || out.Ended
		}) {
			return
		}
		sent += len(out.Output)
		r.Respond(out)
		if out.Ended {
			err = fluxtest.Fail(syscall.ENODATA, "")
		}
	}
	r.Answer(nil, err)
}

// waitAll waits for the jobs that were submitted with the flag waitable.
func (b *broker) waitAll(r *fluxtest.Request) (any, error) {
	var failures []string
	b.Wait(r.Gone(), func() bool {
		var ended []*job
		for _, j := range b.jobs {
			switch {
			case !j.Spec.Waitable || j.Waited:
			case j.State != flux.JobInactive:
				return false
			default:
				ended = append(ended, j)
			}
		}
		for _, j := range ended {
			j.Waited = true
			if j.Result != fluxtest.Completed {
				why := cmp.Or(j.Note, fmt.Sprintf("task(s) exited with exit code %d", j.ExitCode()))
				failures = append(failures, fmt.Sprintf("%v: %s", j.ID, why))
			}
		}
		return true
	})
	return map[string]any{"failures": failures}, nil
}

// idle waits until no job runs. Pending jobs of stopped queues may remain.
func (b *broker) idle(r *fluxtest.Request) (any, error) {
	pending := 0
	b.Wait(r.Gone(), func() bool {
		pending = 0
		for _, j := range b.jobs {
			q := b.State.Queues[j.Queue]
			if j.State == flux.JobRun || (j.State == flux.JobSched && !j.Held() && q != nil && q.Started) {
				return false
			}
			if j.State == flux.JobSched {
				pending++
			}
		}
		return true
	})
	return map[string]int{"pending": pending}, nil
}

type named struct {
	Name string `json:"name"`
}

func (b *broker) dump(r *fluxtest.Request) (any, error) {
	in, err := fluxtest.Decode[named](r)
	if err != nil {
		return nil, err
	}
	return nil, b.save(in.Name, false)
}

func (b *broker) shutdown(r *fluxtest.Request) (any, error) {
	in, err := fluxtest.Decode[named](r)
	if err != nil {
		return nil, err
	}
	b.Update(func() {
		b.stopping = true
		if in.Name != "" {
			b.archive = in.Name
		}
	})
	return nil, nil
}
