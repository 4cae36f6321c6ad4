package serve

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"

	"minicluster.internal/operator/pkg/flux"
)

// situation is what the demand of an instance follows from.
type situation struct {
	// all is what may run jobs, allocated what jobs have of it.
	all, allocated flux.Resources
	// waiting counts jobs by what they want that wait for resources and are not
	// held.
	waiting map[jobRequest]int
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
	// pendingNodes, pendingCores and pendingGPUs are what the jobs want that wait, and
	// could run if there were enough of it: all cores of a node that a job wants for
	// itself, but only the GPUs that it asks for.
	pendingNodes, pendingCores, pendingGPUs int
	// nodes is the number of pods with which all that runs can go on and all
	// that waits and can run does run: pods beyond it may go. It is not
	// capped.
	nodes int
}

// demandOf computes the demand. Not the sum of nodes in use decides, but the
// highest rank in use: a cluster shrinks from the top. A job that can never run here, or
// is in a stopped queue wants nothing.
//
// What waits is placed as a scheduler might: on the lowest ranks that it can have, and
// first what has the least choice. That is exact unless jobs have constraints that
// overlap without one being part of the other; the demand may be too large then, but not
// too small.
func demandOf(s situation) demand {
	m := newMatcher(s.all)
	wanted := satisfiable(m, s)
	d := pending(wanted)
	p := newPlacement(m.all, s)
	for _, w := range wanted {
		if w.nodes > 0 {
			p.placeNodes(w)
		} else {
			p.placeSlots(w)
		}
	}
	d.nodes = p.pods()
	return d
}

// wanted is what a number of jobs want that could run.
type wantedJobs struct {
	jobRequest
	count int
	fit
}

// fit is where a job could run, were nothing else there.
type fit struct {
	// ranks are those that have enough for a node, or a slot, of the job.
	ranks flux.IDSet
	// total is how many nodes, or slots, they have for it.
	total int
	// best is what the largest of them has.
	best amount
}

// satisfiable leaves out what can't run, and sorts the rest: first what fits on the
// fewest ranks, then nodes before slots, and large slots before small ones.
func satisfiable(m *matcher, s situation) []wantedJobs {
	type kind struct {
		requires string
		perNode  amount
		nodes    bool
	}
	fits := map[kind]fit{}
	var out []wantedJobs
	for w, count := range s.waiting {
		if s.stopped[w.queue] {
			continue
		}
		k := kind{w.requires, w.perNode(), w.nodes > 0}
		f, known := fits[k]
		if !known {
			f = fitOf(m, w)
			fits[k] = f
		}
		if needed := max(w.nodes, 1); f.total < needed || (w.nodes == 0 && f.total < w.slots) {
			continue
		}
		out = append(out, wantedJobs{w, count, f})
	}
	slices.SortFunc(out, func(a, b wantedJobs) int {
		return cmp.Or(
			cmp.Compare(a.ranks.Count(), b.ranks.Count()), cmp.Compare(min(b.nodes, 1), min(a.nodes, 1)),
			cmp.Compare(b.gpus, a.gpus), cmp.Compare(b.cores, a.cores),
			// So that the answer depends on nothing else than the jobs.
			cmp.Compare(a.requires, b.requires), cmp.Compare(a.slots, b.slots), cmp.Compare(a.nodes, b.nodes),
		)
	})
	return out
}

// fitOf finds where a job could run. A constraint that can't be read restricts nothing:
// Flux refuses such a job, or knows more than we do.
func fitOf(m *matcher, w jobRequest) fit {
	eligible := m.all
	if w.requires != "" {
		if ranks, err := m.match(json.RawMessage(w.requires)); err == nil {
			eligible = ranks
		}
	}
	f := fit{ranks: eligible}
	var unfit []uint32
	for _, node := range m.resources.On(eligible).Nodes {
		has := amountOf(node)
		n := w.perNode().times(has)
		if n == 0 {
			unfit = append(unfit, node.Rank)
			continue
		}
		if w.nodes > 0 {
			n = 1
		}
		f.total += n
		f.best = amount{max(f.best.cores, has.cores), max(f.best.gpus, has.gpus)}
	}
	f.ranks = f.ranks.Without(flux.IDs(unfit...))
	return f
}

func amountOf(node flux.NodeResources) amount {
	return amount{cores: node.Cores.Count(), gpus: node.GPUs.Count()}
}

// pending adds up what is wanted.
func pending(all []wantedJobs) demand {
	var d demand
	shares := 0.0 // of nodes, by slots that go anywhere
	for _, w := range all {
		cores := w.slots * w.cores
		if w.exclusive {
			cores = w.best.cores
		}
		n := w.count * max(w.nodes, 1)
		d.pendingCores += n * cores
		d.pendingGPUs += n * w.slots * w.gpus
		if w.nodes > 0 {
			d.pendingNodes += n
		} else {
			shares += float64(w.count*w.slots) / float64(w.perNode().times(w.best))
		}
	}
	// Three thirds are one, whatever sum of them a computer comes to.
	d.pendingNodes += int(math.Ceil(shares - 1e-6))
	return d
}
