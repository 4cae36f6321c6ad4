package serve

import (
	"minicluster.internal/operator/pkg/flux"
)

// jobRequest is what a pending job requests. Jobs with the same request are equal.
type jobRequest struct {
	queue string
	// nodes is the number of nodes; 0 for slots on any nodes.
	nodes int
	// exclusive: the job gets all resources of these nodes.
	exclusive bool
	// slots for each node, or in total, with this many cores and GPUs each.
	slots, cores, gpus int
	// requires is the constraint on its nodes, "" for none.
	requires string
}

// requestOfSpec returns the request of a jobspec.
func requestOfSpec(j flux.Jobspec) jobRequest {
	return jobRequest{
		queue: j.Queue, nodes: j.Nodes, exclusive: j.Exclusive,
		slots: j.Slots, cores: j.Cores, gpus: j.GPUs, requires: j.Requires,
	}
}

// requestOfJob returns the request of a listed job, because there is no better source: without GPUs and constraints,
// and without knowing which cores must be on one node.
func requestOfJob(job flux.Job) jobRequest {
	w := jobRequest{queue: job.Queue, nodes: job.Nodes, slots: 1, cores: 1}
	switch {
	case job.Nodes == 0:
		w.slots = max(job.Cores, job.Tasks, 1)
	case job.Cores == 0:
		w.exclusive = true
	default:
		w.cores = (job.Cores + job.Nodes - 1) / job.Nodes
	}
	return w
}

// perNode returns the resources that it needs on one node: those of all its slots there, or of one slot. Flux
// requires no more of an exclusive node either.
func (w jobRequest) perNode() amount {
	if w.nodes > 0 && !w.exclusive {
		return amount{cores: w.slots * w.cores, gpus: w.slots * w.gpus}
	}
	return amount{cores: w.cores, gpus: w.gpus}
}

// amount is an amount of resources.
type amount struct{ cores, gpus int }

// times returns how often a fits into b; an empty amount fits once.
func (a amount) times(b amount) int {
	switch {
	case a.cores == 0 && a.gpus == 0:
		return 1
	case a.gpus == 0:
		return b.cores / a.cores
	case a.cores == 0:
		return b.gpus / a.gpus
	}
	return min(b.cores/a.cores, b.gpus/a.gpus)
}

// less returns a without n times b.
func (a amount) less(n int, b amount) amount {
	return amount{cores: a.cores - n*b.cores, gpus: a.gpus - n*b.gpus}
}
