package fluxtest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// State is the state of an instance as its lead broker knows it.
type State struct {
	// Attrs are the attributes of the broker.
	Attrs map[string]string
	// Broker is the state of the broker's state machine, Since the time of its last change.
	Broker string
	Since  time.Time
	// Resources are those of all nodes, and Hosts the names of the nodes by rank.
	Resources flux.Resources
	Hosts     []string
	// Online, Torpid and Lost are ranks by the state of their brokers.
	Online, Torpid, Lost flux.IDSet
	// Exclude are the ranks that run no jobs and cannot be drained.
	Exclude flux.IDSet
	Drained map[uint32]Drain
	// Queues by name. A queue without a name is the only one.
	Queues map[string]*flux.QueueStatus
	Jobs   []*Job
}

// Drain is the reason and the time of a drain.
type Drain struct {
	Timestamp float64 `json:"timestamp"`
	Reason    string  `json:"reason"`
}

// Results of jobs (RFC 21).
const (
	Completed = 1
	Failed    = 2
	Canceled  = 4
	TimedOut  = 8
)

// Job is a job as job-list.list describes it.
type Job struct {
	flux.Job
	Nodelist string  `json:"nodelist,omitempty"`
	Started  float64 `json:"t_run,omitempty"`
	Ended    float64 `json:"t_inactive,omitempty"`
	Result   int     `json:"result,omitempty"`
	// WaitStatus is the status of its tasks, as of wait(2); nil if no task was started.
	WaitStatus *int `json:"waitstatus,omitempty"`
	// Exception and Note are the type and the text of the exception that ended the job.
	Exception string `json:"exception_type,omitempty"`
	Note      string `json:"exception_note,omitempty"`

	// Alloc is the resource set of the job while it runs.
	Alloc flux.Resources `json:"-"`
	// Constraint restricts its nodes, in the form of RFC 31.
	Constraint any `json:"-"`
}

// End makes a job inactive. Its result follows from its exception and its exit code.
func (j *Job) End(code int) {
	if j.Exception != "" && code == 0 {
		code = 1
	}
	if j.State&flux.JobRunning != 0 {
		j.WaitStatus = new(code << 8)
	}
	j.State, j.Ended, j.Alloc = flux.JobInactive, Now(), flux.Resources{}
	switch {
	case j.Exception == "cancel":
		j.Result = Canceled
	case j.Exception == "timeout":
		j.Result = TimedOut
	case code != 0:
		j.Result = Failed
	default:
		j.Result = Completed
	}
}

// ExitCode is the exit code that commands of Flux report for an inactive job: 1 if an exception ended it before a task
// was started.
func (j *Job) ExitCode() int {
	switch {
	case j.WaitStatus != nil:
		return *j.WaitStatus >> 8
	case j.Exception != "":
		return 1
	}
	return 0
}

// Now returns the time in seconds, as Flux writes it.
func Now() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

// All returns the ranks of all nodes.
func (s *State) All() flux.IDSet { return s.Resources.Ranks() }

// DrainedRanks returns the drained ranks.
func (s *State) DrainedRanks() flux.IDSet { return flux.IDs(slices.Collect(maps.Keys(s.Drained))...) }

// Down returns the ranks that get no jobs now, without excluded ranks.
func (s *State) Down() flux.IDSet {
	if s.Broker != flux.StateRun && s.Broker != flux.StateCleanup {
		return s.All().Without(s.Exclude)
	}
	return s.All().Without(s.Online).Union(s.DrainedRanks()).Union(s.Torpid).Without(s.Exclude)
}

// Free returns the resources that a job could get now.
func (s *State) Free() flux.Resources {
	free := s.Resources.On(s.All().Without(s.Exclude).Without(s.Down()))
	for _, job := range s.Jobs {
		free = free.Without(job.Alloc)
	}
	return free
}

// Hostnames returns the names of the nodes of some ranks.
func (s *State) Hostnames(ranks flux.IDSet) []string {
	names := []string{}
	for rank := range ranks.All() {
		names = append(names, s.Hosts[rank])
	}
	return names
}

// R is a resource set as Flux writes it (RFC 20).
type R struct {
	Version   int       `json:"version"`
	Execution Execution `json:"execution"`
}

// Execution is the part of [R] with the resources of the nodes.
type Execution struct {
	Lite       []LiteR  `json:"R_lite"`
	Start      float64  `json:"starttime"`
	Expiration float64  `json:"expiration"`
	Nodes      []string `json:"nodelist"`
}

// LiteR are ranks with equal resources.
type LiteR struct {
	Rank     string            `json:"rank"`
	Children map[string]string `json:"children"`
}

// EncodeR encodes the resources of nodes, and combines ranks with equal resources.
func EncodeR(nodes []flux.NodeResources, names []string) R {
	alike := map[[2]string]flux.IDSet{}
	for _, n := range nodes {
		key := [2]string{n.Cores.String(), n.GPUs.String()}
		alike[key] = alike[key].Union(flux.IDs(n.Rank))
	}
	lite := []LiteR{}
	for has, ranks := range alike {
		children := map[string]string{"core": has[0]}
		if has[1] != "" {
			children["gpu"] = has[1]
		}
		lite = append(lite, LiteR{Rank: ranks.String(), Children: children})
	}
	slices.SortFunc(lite, func(a, b LiteR) int { return strings.Compare(a.Rank, b.Rank) })
	return R{Version: 1, Execution: Execution{Lite: lite, Nodes: names}}
}

func (s *State) encode(set flux.Resources) R {
	return EncodeR(set.Nodes, s.Hostnames(set.Ranks()))
}
