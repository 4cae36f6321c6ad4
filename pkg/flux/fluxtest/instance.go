package fluxtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// Instance is a stand-in for a broker of a Flux instance. Its services read and change its state, as other code may.
// Jobs do not run by themselves.
type Instance struct {
	*Broker
	old bool

	// State may only be read and changed within [Instance.Update] and [Instance.Wait].
	State State
	// Raise is called by Update to end a job by an exception, if it is set before the first request. Without it, the
	// job becomes inactive.
	Raise func(job *Job)

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced by each update
	journals []*journal
}

// Config describes an instance.
type Config struct {
	// Rank is the rank of the broker.
	Rank uint32
	// Size is the number of nodes, all online at first.
	Size int
	// Cores and GPUs of each node; 0 cores stands for 1.
	Cores, GPUs int
	// Exclude are the ranks that run no jobs and cannot be drained.
	Exclude flux.IDSet
	// Attrs are further attributes of the broker.
	Attrs map[string]string
	// Old makes it answer like Flux 0.49 instead of 0.88.
	Old bool
}

// NewInstance starts an instance on a socket in a new directory. It must be
// closed.
func NewInstance(config Config) (*Instance, error) {
	broker, err := New()
	if err != nil {
		return nil, err
	}
	s := State{
		Broker: flux.StateRun, Since: time.Now(), Online: flux.IDRange(0, uint32(config.Size-1)), Exclude: config.Exclude,
		Attrs: map[string]string{
			"rank": strconv.Itoa(int(config.Rank)), "size": strconv.Itoa(config.Size), "version": "0.88.0",
		},
		Queues: map[string]*flux.QueueStatus{"": {Enabled: true, Started: true}},
	}
	if config.Old {
		s.Attrs["version"] = "0.49.0"
	}
	maps.Copy(s.Attrs, config.Attrs)
	for rank := range config.Size {
		s.Hosts = append(s.Hosts, fmt.Sprintf("node-%d", rank))
		node := flux.NodeResources{Rank: uint32(rank), Cores: flux.IDRange(0, uint32(max(config.Cores, 1)-1))}
		if config.GPUs > 0 {
			node.GPUs = flux.IDRange(0, uint32(config.GPUs-1))
		}
		s.Resources.Nodes = append(s.Resources.Nodes, node)
	}
	return Serve(broker, s, config.Old), nil
}

// Serve registers the services of an instance with a broker. Old services answer like those of Flux 0.49.
func Serve(broker *Broker, state State, old bool) *Instance {
	if state.Drained == nil {
		state.Drained = map[uint32]Drain{}
	}
	i := &Instance{Broker: broker, old: old, State: state, changed: make(chan struct{})}
	i.offer()
	return i
}

// Update changes the state, and notifies waiting callers and readers of the journal.
func (i *Instance) Update(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
	for _, j := range i.journals {
		j.tell(i.State.Jobs)
	}
	close(i.changed)
	i.changed = make(chan struct{})
}

// Wait waits for a condition on the state. It reports whether it was met before stop was closed.
func (i *Instance) Wait(stop <-chan struct{}, condition func() bool) bool {
	for {
		i.mu.Lock()
		met, changed := condition(), i.changed
		i.mu.Unlock()
		if met {
			return true
		}
		select {
		case <-changed:
		case <-stop:
			return false
		}
	}
}

// Read reads the state.
func (i *Instance) Read(read func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	read()
}

// Service returns the answer to a request.
type Service func(r *Request) (any, error)

// Offer registers a service. The state is not locked while it runs.
func (i *Instance) Offer(topic string, forGuests bool, do Service) {
	i.Handle(topic, func(r *Request) {
		if !forGuests && r.Roles&RoleOwner == 0 {
			r.Error(syscall.EPERM, "Request requires owner credentials")
			return
		}
		r.Answer(do(r))
	})
}

// Fail returns the error of a service that answers with an errno and a text.
func Fail(errno syscall.Errno, format string, args ...any) error {
	return &flux.Error{Errno: errno, Text: fmt.Sprintf(format, args...)}
}

// Decode decodes the payload of a request; without a payload it returns the zero value.
func Decode[T any](r *Request) (in T, err error) {
	if text := r.Text(); len(text) > 0 {
		if err := json.Unmarshal(text, &in); err != nil {
			return in, Fail(syscall.EPROTO, "%s: %v", r.Topic, err)
		}
	}
	return in, nil
}

// SetState sets the state of the broker.
func (i *Instance) SetState(state string) { i.Update(func() { i.State.Broker = state }) }

// SetOnline sets the ranks whose broker is online.
func (i *Instance) SetOnline(ranks flux.IDSet) { i.Update(func() { i.State.Online = ranks }) }

// SetQueues replaces the queues; one without a name is the only one.
func (i *Instance) SetQueues(queues ...flux.QueueStatus) {
	i.Update(func() {
		clear(i.State.Queues)
		for _, q := range queues {
			i.State.Queues[q.Name] = &q
		}
	})
}

// SetJobs replaces the jobs. The ranks of running jobs are allocated completely or, if a job has cores, with that
// number of cores in total.
func (i *Instance) SetJobs(jobs ...flux.Job) {
	i.Update(func() {
		i.State.Jobs = nil
		for _, job := range jobs {
			j := &Job{Job: job}
			if job.State&flux.JobRunning != 0 {
				j.Alloc = i.State.Resources.On(job.Ranks)
			}
			for n := range j.Alloc.Nodes {
				node := &j.Alloc.Nodes[n]
				if cores := (job.Cores + job.Ranks.Count() - 1) / job.Ranks.Count(); job.Cores > 0 && cores < node.Cores.Count() {
					node.Cores, node.GPUs = node.Cores.First(cores), flux.IDSet{}
				}
			}
			i.State.Jobs = append(i.State.Jobs, j)
		}
	})
}

// Drain drains ranks like an administrator.
func (i *Instance) Drain(ranks flux.IDSet, reason string) {
	i.Update(func() {
		for rank := range ranks.All() {
			i.State.Drained[rank] = Drain{Now(), reason}
		}
	})
}

// Drained returns the drained ranks with their reasons.
func (i *Instance) Drained() map[uint32]string {
	out := map[uint32]string{}
	i.Read(func() {
		for rank, d := range i.State.Drained {
			out[rank] = d.Reason
		}
	})
	return out
}
