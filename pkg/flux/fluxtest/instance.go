package fluxtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// Instance is a stand-in for rank 0 of a Flux instance. What is done to it
// through its socket can be seen by its methods, and the other way round. Jobs
// do not run by themselves.
type Instance struct {
	*Broker
	config Config

	mu      sync.Mutex
	state   string
	online  flux.IDSet
	drained map[uint32]drained
	queues  map[string]flux.QueueStatus
	jobs    []flux.Job
	raised  map[flux.JobID]bool // jobs that were canceled
	// journals are those that are told of jobs.
	journals []*journal
	watch    chan struct{} // closed, and made anew, when online changes
}

// Config describes an instance.
type Config struct {
	// Rank of the broker whose socket it is.
	Rank uint32
	// Size is the number of nodes, all online at first.
	Size int
	// Cores and GPUs of each node; 1 core if 0.
	Cores, GPUs int
	// Exclude is the ranks that run no jobs and cannot be drained.
	Exclude flux.IDSet
	// Attrs are further attributes of the broker.
	Attrs map[string]string
	// Old makes it answer as Flux 0.49 did, not 0.88.
	Old bool
}

type drained struct {
	reason string
	since  time.Time
}

// NewInstance starts an instance on a socket in a new directory. It must be
// closed.
func NewInstance(config Config) (*Instance, error) {
	broker, err := New()
	if err != nil {
		return nil, err
	}
	config.Cores = max(config.Cores, 1)
	i := &Instance{
		Broker: broker, config: config,
		state: flux.StateRun, online: flux.IDRange(0, uint32(config.Size-1)),
		drained: map[uint32]drained{}, queues: map[string]flux.QueueStatus{"": {Enabled: true, Started: true}},
		raised: map[flux.JobID]bool{}, watch: make(chan struct{}),
	}
	i.handle()
	return i, nil
}

// SetState sets the state of the broker.
func (i *Instance) SetState(state string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.state = state
}

// SetOnline sets the ranks whose broker is online.
func (i *Instance) SetOnline(ranks flux.IDSet) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.online = ranks
	close(i.watch)
	i.watch = make(chan struct{})
}

// SetQueues replaces the queues; one without a name is the only one.
func (i *Instance) SetQueues(queues ...flux.QueueStatus) {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.queues)
	for _, q := range queues {
		i.queues[q.Name] = q
	}
}

// SetJobs replaces the jobs. The ranks of those that run are allocated as a
// whole, or as many cores of each as the job's cores come to.
func (i *Instance) SetJobs(jobs ...flux.Job) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jobs = slices.Clone(jobs)
	i.jobsChanged()
}

// Drain drains ranks as an administrator does.
func (i *Instance) Drain(ranks flux.IDSet, reason string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for rank := range ranks.All() {
		i.drained[rank] = drained{reason, time.Now()}
	}
}

// Drained are the ranks that are drained, with their reasons.
func (i *Instance) Drained() map[uint32]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := map[uint32]string{}
	for rank, d := range i.drained {
		out[rank] = d.reason
	}
	return out
}

func (i *Instance) all() flux.IDSet { return flux.IDRange(0, uint32(i.config.Size-1)) }

func (i *Instance) drainedRanks() flux.IDSet {
	return flux.IDs(slices.Collect(maps.Keys(i.drained))...)
}

// resources is the resource set of some ranks, with some of the cores.
func (i *Instance) resources(ranks flux.IDSet, cores int) map[string]any {
	lite := []any{}
	children := map[string]string{"core": flux.IDRange(0, uint32(cores-1)).String()}
	if i.config.GPUs > 0 && cores == i.config.Cores {
		children["gpu"] = flux.IDRange(0, uint32(i.config.GPUs-1)).String()
	}
	var hosts []string
	if !ranks.Empty() {
		lite = append(lite, map[string]any{"rank": ranks.String(), "children": children})
		for rank := range ranks.All() {
			hosts = append(hosts, fmt.Sprintf("node-%d", rank))
		}
	}
	return map[string]any{"version": 1, "execution": map[string]any{
		"R_lite": lite, "starttime": 0, "expiration": 0, "nodelist": hosts,
	}}
}

// allocated is the resource set of what runs: full nodes, or parts of them.
func (i *Instance) allocated() map[string]any {
	out := i.resources(flux.IDSet{}, i.config.Cores)
	var lite []any
	for _, job := range i.jobs {
		if job.State&flux.JobRunning == 0 || job.Ranks.Empty() {
			continue
		}
		cores := i.config.Cores
		if job.Cores > 0 {
			cores = min(cores, (job.Cores+job.Ranks.Count()-1)/job.Ranks.Count())
		}
		part := i.resources(job.Ranks, cores)["execution"].(map[string]any)["R_lite"].([]any)
		lite = append(lite, part...)
	}
	out["execution"].(map[string]any)["R_lite"] = lite
	return out
}

func (i *Instance) drainTargets(r *Request) (ranks flux.IDSet, reason, mode string, ok bool) {
	var in struct {
		Targets      flux.IDSet
		Reason, Mode string
	}
	if err := r.Decode(&in); err != nil {
		r.Error(syscall.EPROTO, err.Error())
		return in.Targets, "", "", false
	}
	if last, any := in.Targets.Max(); !any || int(last) >= i.config.Size {
		r.Error(syscall.EINVAL, "idset is empty or out of range")
		return in.Targets, "", "", false
	}
	if excluded := in.Targets.Intersect(i.config.Exclude); !excluded.Empty() {
		r.Error(syscall.EINVAL, fmt.Sprintf("drain of excluded rank(s) %s", excluded))
		return in.Targets, "", "", false
	}
	return in.Targets, in.Reason, in.Mode, true
}
