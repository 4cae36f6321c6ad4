package serve

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"

	"minicluster.internal/operator/pkg/flux"
)

// situation is the input of the demand of an instance.
type situation struct {
	// all is the resources that can run jobs, allocated the part that is allocated to jobs.
	all, allocated flux.Resources
	// waiting counts the jobs by request that wait for resources and are not held.
	waiting map[jobRequest]int
	// stopped are the names of the queues that run no jobs; "" is the queue of an instance without named queues.
	stopped map[string]bool
	// drained are the ranks that run no new jobs now. broken are those of them that stay drained if the cluster grows:
	// something other than the agent drained them.
	drained, broken flux.IDSet
}

// demand is what an instance needs.
type demand struct {
	// pendingNodes, pendingCores and pendingGPUs are what pending jobs request that could run if there were enough
	// resources: all cores of an exclusive node, but only the requested GPUs.
	pendingNodes, pendingCores, pendingGPUs int
	// nodes is the number of pods that suffice to continue everything that runs and to run everything that is pending
	// and can run. It is not limited to the maximum size.
	nodes int
}

// demandOf computes the demand. It depends on the highest rank in use, not on the number of nodes in use: a cluster
// shrinks from the top. A job that can never run here, or is in a stopped queue, adds nothing.
//
// Pending jobs are placed like a scheduler might: on the lowest eligible ranks, the most constrained jobs first. This
// is exact unless constraints of jobs overlap without one including the other. Then the demand may be too large, but
// not too small.
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

// wantedJobs is a number of jobs with the same request that could run.
type wantedJobs struct {
	jobRequest
	count int
	fit
}

// fit is where a job could run if the instance were empty.
type fit struct {
	// ranks are those with enough resources for a node, or a slot, of the job.
	ranks flux.IDSet
	// total is the number of nodes, or slots, that they have for it.
	total int
	// best is the number on the largest of them.
	best amount
}

// satisfiable drops jobs that cannot run, and sorts the rest: first those that fit on the fewest ranks, then nodes
// before slots, and large slots before small ones.
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
			// The result must depend on nothing but the jobs.
			cmp.Compare(a.requires, b.requires), cmp.Compare(a.slots, b.slots), cmp.Compare(a.nodes, b.nodes),
		)
	})
	return out
}

// fitOf finds where a job could run. An unreadable constraint restricts nothing: Flux rejects such a job, or supports
// more than the agent does.
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

// pending sums up what is requested.
func pending(all []wantedJobs) demand {
	var d demand
	shares := 0.0 // of nodes, by slots that may run anywhere
	for _, w := range all {
		cores := w.slots * w.cores
		if w.exclusive {
			cores = w.best.cores
		}
		n := product(w.count, max(w.nodes, 1))
		gpus := w.slots * w.gpus
		if w.nodes > 0 {
			gpus = min(gpus, w.best.gpus) // an exclusive node has no more, whatever a job requests
		}
		d.pendingCores = sum(d.pendingCores, product(n, cores))
		d.pendingGPUs = sum(d.pendingGPUs, product(n, gpus))
		if w.nodes > 0 {
			d.pendingNodes = sum(d.pendingNodes, n)
		} else {
			shares += float64(w.count*w.slots) / float64(w.perNode().times(w.best))
		}
	}
	// Three thirds are one, despite rounding errors.
	d.pendingNodes = sum(d.pendingNodes, int(math.Ceil(shares-1e-6)))
	return d
}

// maxDemand limits the numbers of a demand, which users of the instance determine.
const maxDemand = 1 << 40

// product multiplies numbers of a demand.
func product(a, b int) int {
	if a > 0 && b > maxDemand/a {
		return maxDemand
	}
	return a * b
}

// sum adds numbers of a demand.
func sum(a, b int) int { return min(a+b, maxDemand) }
