package serve

import (
	"minicluster.internal/operator/pkg/flux"
)

// situation is what the demand of an instance follows from.
type situation struct {
	// all is what may run jobs, allocated what jobs have of it.
	all, allocated flux.Resources
	// waiting are jobs that wait for resources.
	waiting []flux.Job
	// stopped are the names of the queues that run no jobs; "" is the queue of
	// an instance that has none with a name.
	stopped map[string]bool
	// drained are the ranks that run no new jobs now, broken those of
	// them that will not when the cluster grows either: somebody
	// else than we drained them.
	drained, broken flux.IDSet
}

// demand is what an instance wants.
type demand struct {
	// pendingNodes and pendingCores are what the jobs want that wait, and could
	// run if there were enough of it.
	pendingNodes, pendingCores int
	// nodes is the number of pods with which all that runs can go on and all
	// that waits and can run does run: pods beyond it may go. It is not
	// capped.
	nodes int
}

// demandOf computes the demand. Not the sum of nodes in use decides, but the
// highest rank in use: a cluster shrinks from the top. A job that is held,
// depends on another, can never run here, or is in a stopped queue wants nothing.
func demandOf(s situation) demand {
	perNode := 0
	for _, node := range s.all.Nodes {
		perNode = max(perNode, node.Cores.Count())
	}
	var d demand
	whole, loose := 0, 0 // nodes wanted as such, cores wanted anywhere
	for _, job := range s.waiting {
		w, ok := wantOf(job, len(s.all.Nodes), perNode)
		if !ok || job.Held() || job.State != flux.JobSched || s.stopped[job.Queue] {
			continue
		}
		d.pendingCores += w.cores
		if w.nodes > 0 {
			whole += w.nodes
		} else {
			loose += w.cores
		}
	}
	d.pendingNodes = whole + nodesFor(loose, perNode)

	busy := s.allocated.Ranks()
	room := s.all.On(busy.Without(s.drained)).Without(s.allocated).Totals().Cores
	wanted := busy.Without(s.broken).Count() + whole + nodesFor(loose-room, perNode)
	d.nodes = podsFor(wanted, s.all.Ranks().Without(s.broken))
	if highest, ok := busy.Max(); ok {
		d.nodes = max(d.nodes, int(highest)+1)
	}
	return d
}

// want is what a job asks for: nodes, or only cores, wherever they are.
type want struct{ nodes, cores int }

// wantOf is what a job wants; ok is false if an instance of that many nodes could
// never run it.
func wantOf(job flux.Job, nodes, perNode int) (w want, ok bool) {
	w = want{nodes: job.Nodes, cores: max(job.Cores, job.Tasks)}
	if w.nodes > 0 && job.Cores == 0 { // whole nodes
		w.cores = w.nodes * perNode
	}
	w.cores = max(w.cores, 1)
	if w.nodes > nodes || w.cores > nodes*perNode || (w.nodes > 0 && w.cores > w.nodes*perNode) {
		return want{}, false
	}
	return w, true
}

// nodesFor is how many nodes have that many cores.
func nodesFor(cores, perNode int) int {
	if cores <= 0 || perNode <= 0 {
		return 0
	}
	return (cores + perNode - 1) / perNode
}

// podsFor is how many pods are needed so that count of them are of the usable
// ranks: more, where others are below them. Ranks that there are
// not are usable.
func podsFor(count int, usable flux.IDSet) int {
	if count <= 0 {
		return 0
	}
	highest := -1
	for rank := range usable.All() {
		highest = int(rank)
		if count--; count == 0 {
			break
		}
	}
	return highest + 1 + count
}
