package serve

import (
	"minicluster.internal/operator/pkg/flux"
)

// want is what a job asks for that waits. Jobs that ask for the same are equal.
type jobRequest struct {
	queue string
	// nodes is how many nodes it asks for, as such; 0 for slots wherever they are.
	nodes int
	// exclusive says that it gets all that those nodes have.
	exclusive bool
	// slots of each node, or in all, with that many cores and GPUs each.
	slots, cores, gpus int
	// requires is the constraint on its nodes, "" for none.
	requires string
}

// requestOfSpec is what a jobspec says.
func requestOfSpec(j flux.Jobspec) jobRequest {
	return jobRequest{
		queue: j.Queue, nodes: j.Nodes, exclusive: j.Exclusive,
		slots: j.Slots, cores: j.Cores, gpus: j.GPUs, requires: j.Requires,
	}
}

// requestOfJob is what a list of jobs says, where there is no better source: neither GPUs
// nor constraints, nor which cores have to be of one node.
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

// perNode is what it needs of one node: all its slots there, or one. Of a node that it
// gets for itself Flux wants no more, either.
func (w jobRequest) perNode() amount {
	if w.nodes > 0 && !w.exclusive {
		return amount{cores: w.slots * w.cores, gpus: w.slots * w.gpus}
	}
	return amount{cores: w.cores, gpus: w.gpus}
}

// amount is an amount of what nodes have.
type amount struct{ cores, gpus int }

// times is how often a fits into b; an amount of nothing fits once.
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

// less is a without n times b.
func (a amount) less(n int, b amount) amount {
	return amount{cores: a.cores - n*b.cores, gpus: a.gpus - n*b.gpus}
}
