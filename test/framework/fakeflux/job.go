package main

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// jobs is what the lead knows of jobs, under the broker's mu.
type jobs struct {
	all      []*job
	queues   map[string]*jobQueue // by name; "" where there are none
	lastID   uint64
	revision int // counts changes, for checkpoints
}

type jobQueue struct {
	Enabled       bool   `json:"enable"`
	DisableReason string `json:"disable_reason,omitempty"`
	Started       bool   `json:"start"`
	StopReason    string `json:"stop_reason,omitempty"`
}

func (j *jobs) init(names []string) {
	j.queues = map[string]*jobQueue{}
	if len(names) == 0 {
		j.queues[""] = &jobQueue{Enabled: true, Started: true}
	}
	for _, name := range names { // named ones are to be started
		j.queues[name] = &jobQueue{Enabled: true}
	}
}

func (j *jobs) find(id uint64) *job {
	for _, job := range j.all {
		if job.ID == id {
			return job
		}
	}
	return nil
}

// jobSpec is what a user asks for.
type jobSpec struct {
	Argv      []string `json:"argv"`
	Env       []string `json:"env"`
	Cwd       string   `json:"cwd"`
	Name      string   `json:"name"`
	Queue     string   `json:"queue"`
	Nodes     int      `json:"nodes"` // 0: as many as it takes
	Tasks     int      `json:"tasks"`
	Cores     int      `json:"cores"` // of a task
	Exclusive bool     `json:"exclusive"`
	Requires  string   `json:"requires,omitempty"`
	Ranks     []int    `json:"ranks"` // where it may be, nil for anywhere
	Urgency   int      `json:"urgency"`
	Limit     float64  `json:"limit"` // seconds, 0: none
	Waitable  bool     `json:"waitable"`
	Output    string   `json:"output"` // file, or "": kept for who attaches
	Error     string   `json:"error"`
	Label     bool     `json:"label"`            // lines with the task's rank
	Nested    bool     `json:"nested,omitempty"` // the program is a Flux instance
}

const (
	jobSched    = flux.JobSched
	jobRun      = flux.JobRun
	jobInactive = flux.JobInactive
)

// Results of jobs.
const (
	completed = "completed"
	failed    = "failed"
	canceled  = "canceled"
	timedOut  = "timeout"
)

type output struct {
	Stream string `json:"stream"`
	Data   string `json:"data"`
}

type job struct {
	ID        uint64        `json:"id"`
	User      uint32        `json:"user"`
	Spec      jobSpec       `json:"spec"`
	State     flux.JobState `json:"state"`
	Result    string        `json:"result,omitempty"`
	Status    int           `json:"status"` // exit code, as a shell has it
	Exception string        `json:"exception,omitempty"`
	Note      string        `json:"note,omitempty"`
	Submitted float64       `json:"submitted"`
	Started   float64       `json:"started,omitempty"`
	Ended     float64       `json:"ended,omitempty"`
	Alloc     map[int][]int `json:"alloc,omitempty"` // cores by rank
	Output    []output      `json:"output,omitempty"`
	Waited    bool          `json:"waited,omitempty"`

	processes []*exec.Cmd
}

func (j *job) ranks() []int { return slices.Sorted(maps.Keys(j.Alloc)) }

// raise ends a job by an exception. mu is held.
func (b *broker) raise(j *job, kind, note string) {
	if j.State == jobInactive || j.Exception != "" {
		return
	}
	j.Exception, j.Note = kind, note
	if j.State == jobRun {
		signal := syscall.SIGTERM
		if kind == "timeout" {
			signal = syscall.SIGALRM
		}
		for _, c := range j.processes {
			_ = syscall.Kill(-c.Process.Pid, signal) // it may have ended
		}
		processes := j.processes
		time.AfterFunc(killAfter, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if j.State == jobRun {
				for _, c := range processes {
					_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // as above
				}
			}
		})
		return
	}
	b.end(j, 1)
}

// killAfter is between SIGTERM and SIGKILL (exec.kill-timeout).
const killAfter = 5 * time.Second

// end notes the end of a job. mu is held.
func (b *broker) end(j *job, status int) {
	j.State, j.Status, j.Ended, j.processes = jobInactive, status, now(), nil
	b.jobs.revision++
	switch {
	case j.Exception == "cancel":
		j.Result = canceled
	case j.Exception == "timeout":
		j.Result = timedOut
	case j.Exception != "" || status != 0:
		j.Result = failed
	default:
		j.Result = completed
	}
	if j.Exception != "" && status == 0 {
		j.Status = 1
	}
}

// allocated is what running jobs have. mu is held.
func (b *broker) allocated() resourceSet {
	set := resourceSet{}
	for _, j := range b.jobs.all {
		if j.State != jobRun {
			continue
		}
		for rank, cores := range j.Alloc {
			n := set[rank]
			n.host = b.resources[rank].host
			n.cores = slices.Sorted(slices.Values(slices.Concat(n.cores, cores)))
			set[rank] = n
		}
	}
	return set
}

// wants is a spec in words.
func (s jobSpec) wants() (nodes, tasks, cores int) {
	return s.Nodes, max(s.Tasks, 1), max(s.Cores, 1)
}

// place finds cores for a job among those that are free: nil if there are none.
func place(s jobSpec, free resourceSet, whole resourceSet) map[int][]int {
	nodes, tasks, cores := s.wants()
	slots := func(rank int) int { return len(free[rank].cores) / cores }
	ranks := slices.DeleteFunc(free.ranks(), func(rank int) bool { return !s.allows(rank) })
	if s.Exclusive {
		ranks = slices.DeleteFunc(ranks, func(rank int) bool { return len(free[rank].cores) < len(whole[rank].cores) })
	}
	ranks = slices.DeleteFunc(ranks, func(rank int) bool { return slots(rank) == 0 })
	// The emptiest first.
	slices.SortStableFunc(ranks, func(a, b int) int { return slots(b) - slots(a) })
	if nodes > 0 {
		if len(ranks) < nodes {
			return nil
		}
		ranks = ranks[:nodes]
	}
	alloc := map[int][]int{}
	left := tasks
	for _, rank := range ranks { // nodes that are asked for get a task each
		if nodes > 0 && left > 0 {
			alloc[rank] = free[rank].cores[:cores]
			left--
		}
	}
	for _, rank := range ranks {
		for n := len(alloc[rank]) / cores; left > 0 && n < slots(rank); n++ {
			alloc[rank] = free[rank].cores[:(n+1)*cores]
			left--
		}
	}
	if left > 0 {
		return nil
	}
	if s.Exclusive {
		for rank := range alloc {
			alloc[rank] = whole[rank].cores
		}
	}
	return alloc
}

// free is what may be given to jobs now. mu is held.
func (b *broker) free() resourceSet {
	taken := b.allocated()
	free := resourceSet{}
	for rank, n := range b.resources {
		if !b.usable(rank) {
			continue
		}
		n.cores = slices.DeleteFunc(slices.Clone(n.cores), func(core int) bool { return slices.Contains(taken[rank].cores, core) })
		free[rank] = n
	}
	return free
}

// schedule runs jobs, first come first served: the first that does not fit holds
// up the others of its queue.
func (b *broker) schedule(stop <-chan struct{}) {
	next := func() *job {
		if b.state != stateRun {
			return nil
		}
		heads := map[string]bool{}
		waiting := slices.Clone(b.jobs.all)
		slices.SortStableFunc(waiting, func(a, c *job) int { return c.Spec.Urgency - a.Spec.Urgency })
		for _, j := range waiting {
			q := b.jobs.queues[j.Spec.Queue]
			if j.State != jobSched || j.Spec.Urgency == 0 || q == nil || !q.Started || heads[j.Spec.Queue] {
				continue
			}
			if place(j.Spec, b.resources.only(func(rank int) bool { return !b.excluded[rank] }), b.resources) == nil {
				b.raise(j, "alloc", "unsatisfiable request")
				continue
			}
			heads[j.Spec.Queue] = true
			if alloc := place(j.Spec, b.free(), b.resources); alloc != nil {
				j.Alloc = alloc
				return j
			}
		}
		return nil
	}
	for {
		var j *job
		if !b.until(stop, func() bool { j = next(); return j != nil }) {
			return
		}
		b.update(func() {
			if j.State == jobSched { // not cancelled meanwhile
				j.State, j.Started = jobRun, now()
				b.jobs.revision++
				b.launch(j)
			}
		})
	}
}

func (j *job) String() string { return fmt.Sprint(flux.JobID(j.ID)) }
