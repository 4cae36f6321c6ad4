package main

import (
	"cmp"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// jobSpec is the request of a user.
type jobSpec struct {
	Argv      []string `json:"argv"`
	Env       []string `json:"env"`
	Cwd       string   `json:"cwd"`
	Name      string   `json:"name"`
	Queue     string   `json:"queue"`
	Nodes     int      `json:"nodes"` // 0: as many as needed
	Tasks     int      `json:"tasks"`
	Cores     int      `json:"cores"` // of a task
	Exclusive bool     `json:"exclusive"`
	Requires  string   `json:"requires,omitempty"`
	Urgency   int      `json:"urgency"`
	Limit     float64  `json:"limit"` // seconds, 0: none
	Waitable  bool     `json:"waitable"`
	Output    string   `json:"output"` // file, or "" to keep the output for clients that attach
	Error     string   `json:"error"`
	Label     bool     `json:"label"`            // lines with the task's rank
	Nested    bool     `json:"nested,omitempty"` // the program is a Flux instance
}

type output struct {
	Stream string `json:"stream"`
	Data   string `json:"data"`
}

// job is a job that this program runs.
type job struct {
	*fluxtest.Job
	Spec    jobSpec     `json:"spec"`
	Allowed *flux.IDSet `json:"allowed,omitempty"` // ranks, nil for any
	Output  []output    `json:"output,omitempty"`
	Waited  bool        `json:"waited,omitempty"`

	processes []*exec.Cmd
}

// newJob creates a job for a request.
func (b *broker) newJob(user uint32, s jobSpec) (*job, error) {
	j := &job{Spec: s, Job: &fluxtest.Job{Job: flux.Job{
		State: flux.JobSched, Name: s.Name, Queue: s.Queue, UserID: user, Urgency: &s.Urgency, Priority: new(int64(s.Urgency)),
		Nodes: s.Nodes, Tasks: max(s.Tasks, 1), Submitted: fluxtest.Now(),
	}}}
	if !s.Exclusive {
		j.Cores = j.Tasks * max(s.Cores, 1)
	}
	return j, b.constrain(j)
}

// constrain applies --requires. It supports single constraints (RFC 35) for ranks and hosts; no rank has a property.
func (b *broker) constrain(j *job) error {
	if j.Spec.Requires == "" {
		return nil
	}
	operator, value, ok := strings.Cut(j.Spec.Requires, ":")
	var ranks flux.IDSet
	var err error
	switch {
	case !ok:
		j.Constraint = map[string][]string{"properties": {operator}}
	case operator == "rank" || operator == "ranks":
		if ranks, err = flux.ParseIDSet(value); err != nil {
			return fluxtest.Fail(syscall.EINVAL, "%s: %v", j.Spec.Requires, err)
		}
		j.Constraint = map[string][]string{"ranks": {value}}
	case operator == "host" || operator == "hosts":
		hosts, err := flux.ParseHosts(value)
		if err != nil {
			return fluxtest.Fail(syscall.EINVAL, "%s: %v", j.Spec.Requires, err)
		}
		for _, name := range hosts {
			rank := slices.Index(b.State.Hosts, name)
			if rank < 0 {
				return fluxtest.Fail(syscall.EINVAL, "host constraint contains invalid hosts: host '%s' not found", name)
			}
			ranks = ranks.Union(flux.IDs(uint32(rank)))
		}
		j.Constraint = map[string][]string{"hostlist": {value}}
	default:
		return fluxtest.Fail(syscall.EINVAL, "unknown constraint operator '%s'", operator)
	}
	j.Allowed = &ranks
	return nil
}

// raise ends a job after an exception. It must be called within Update.
func (b *broker) raise(of *fluxtest.Job) {
	j := b.find(of.ID)
	if j.State != flux.JobRun {
		b.end(j, 1)
		return
	}
	signal := syscall.SIGTERM
	if j.Exception == "timeout" {
		signal = syscall.SIGALRM
	}
	processes := j.processes
	kill := func(signal syscall.Signal) {
		for _, c := range processes {
			_ = syscall.Kill(-c.Process.Pid, signal) // it may have ended
		}
	}
	kill(signal)
	time.AfterFunc(killAfter, func() {
		b.Read(func() {
			if j.State == flux.JobRun {
				kill(syscall.SIGKILL)
			}
		})
	})
}

// killAfter is the time between SIGTERM and SIGKILL (exec.kill-timeout).
const killAfter = 5 * time.Second

// end makes a job inactive. It must be called within Update.
func (b *broker) end(j *job, code int) {
	j.processes = nil
	j.End(code)
	b.revision++
}

func (b *broker) find(id flux.JobID) *job {
	if i := slices.IndexFunc(b.jobs, func(j *job) bool { return j.ID == id }); i >= 0 {
		return b.jobs[i]
	}
	return nil
}

// place finds free resources for a job, and reports whether they suffice.
func (j *job) place(free, whole flux.Resources) (flux.Resources, bool) {
	tasks, cores := j.Tasks, max(j.Spec.Cores, 1)
	var nodes []flux.NodeResources
	for _, n := range free.Nodes {
		all, _ := whole.Node(n.Rank)
		if (j.Allowed == nil || j.Allowed.Contains(n.Rank)) && n.Cores.Count() >= cores &&
			(!j.Spec.Exclusive || n.Cores.Equal(all.Cores)) {
			nodes = append(nodes, n)
		}
	}
	if len(nodes) < j.Spec.Nodes {
		return flux.Resources{}, false
	}
	// The node with the most free resources first.
	slices.SortStableFunc(nodes, func(a, b flux.NodeResources) int { return cmp.Compare(b.Cores.Count(), a.Cores.Count()) })
	given := make([]int, len(nodes))
	if j.Spec.Nodes > 0 { // each gets a task
		nodes = nodes[:j.Spec.Nodes]
		for i := range nodes {
			given[i] = 1
		}
		tasks -= len(nodes)
	}
	var alloc flux.Resources
	for i, n := range nodes {
		more := max(0, min(tasks, n.Cores.Count()/cores-given[i]))
		tasks -= more
		switch used := (given[i] + more) * cores; {
		case used == 0:
			continue
		case !j.Spec.Exclusive && used < n.Cores.Count():
			n.Cores, n.GPUs = n.Cores.First(used), flux.IDSet{}
		}
		alloc.Nodes = append(alloc.Nodes, n)
	}
	slices.SortFunc(alloc.Nodes, func(a, b flux.NodeResources) int { return cmp.Compare(a.Rank, b.Rank) })
	return alloc, tasks <= 0
}

// next returns the next job to run, first come first served: the first job that does not fit blocks the others of its
// queue.
func (b *broker) next() *job {
	if b.State.Broker != flux.StateRun {
		return nil
	}
	heads := map[string]bool{}
	waiting := slices.Clone(b.jobs)
	slices.SortStableFunc(waiting, func(a, c *job) int { return c.Spec.Urgency - a.Spec.Urgency })
	whole := b.State.Resources.On(b.State.All().Without(b.State.Exclude))
	for _, j := range waiting {
		q := b.State.Queues[j.Queue]
		if j.State != flux.JobSched || j.Held() || q == nil || !q.Started || heads[j.Queue] {
			continue
		}
		if _, ok := j.place(whole, whole); !ok {
			b.Except(j.Job, "alloc", "unsatisfiable request")
			continue
		}
		heads[j.Queue] = true
		if alloc, ok := j.place(b.State.Free(), whole); ok {
			j.Alloc = alloc
			return j
		}
	}
	return nil
}

// schedule starts jobs.
func (b *broker) schedule(stop <-chan struct{}) {
	for {
		if !b.Wait(stop, func() bool {
			before := b.revision
			if j := b.next(); j != nil {
				j.State, j.Started, j.Ranks = flux.JobRun, fluxtest.Now(), j.Alloc.Ranks()
				j.Nodes, j.Nodelist = j.Ranks.Count(), hostlist(b.State.Hostnames(j.Ranks))
				b.revision++
				b.launch(j)
			}
			return b.revision > before
		}) {
			return
		}
		b.Update(func() {}) // notifies waiting clients
	}
}

// hostlist returns the compact form of names.
func hostlist(names []string) string {
	list, err := fluxconfig.ParseHostlist(strings.Join(names, ","))
	if err != nil {
		return fmt.Sprint(names)
	}
	return list.String()
}
