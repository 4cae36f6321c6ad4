package allocation

import (
	"math/rand/v2"
	"slices"
)

// world simulates a cluster in steps of a second: the scheduler, which prefers the node of which most is free and
// tries the oldest pods first; autoscalers, which set the size of each filler once a period; and Jobs, which replace
// missing ranks and remove the highest ones, whose pods take some time to stop.
type world struct {
	random   *rand.Rand
	now      int
	nodes    []*simNode
	fillers  []*simFiller
	pods     []*simPod
	made     int
	period   int
	drain    int
	events   int
	changes  int
	lastSeen Result
}

type simNode struct {
	cpu      int64
	cordoned bool
}

type simFiller struct {
	Filler
	// phase is the time within a period at which its autoscaler runs.
	phase int
}

// simPod is a paying pod, or a rank of a filler.
type simPod struct {
	serial  int
	filler  int // or -1
	index   int64
	cpu     int64
	node    int // or -1
	created int
	bound   int
	// stopping is the time at which it is gone, or 0.
	stopping int
	rejected bool
	// hopeless is set if there was ever no room for it, even with all fillers at their minimum.
	hopeless bool
}

func newWorld(seed uint64) *world {
	return &world{random: rand.New(rand.NewPCG(seed, 7)), period: 15, drain: 5} //nolint:gosec // a simulation
}

func (w *world) addFiller(f Filler) {
	f.Size = max(1, f.Minimum)
	w.fillers = append(w.fillers, &simFiller{Filler: f, phase: w.random.IntN(w.period)})
}

func (w *world) addPaying(cpu int64) *simPod {
	p := &simPod{filler: -1, cpu: cpu, node: -1}
	w.add(p)
	w.events++
	return p
}

func (w *world) add(p *simPod) {
	w.made++
	p.serial, p.created = w.made, w.now
	w.pods = append(w.pods, p)
}

func (w *world) remove(p *simPod) {
	w.pods = slices.DeleteFunc(w.pods, func(o *simPod) bool { return o == p })
	if p.filler < 0 {
		w.events++
	}
}

func (w *world) paying() []*simPod {
	return slices.DeleteFunc(slices.Clone(w.pods), func(p *simPod) bool { return p.filler >= 0 })
}

func (w *world) running(filler int) int64 {
	var n int64
	for _, p := range w.pods {
		if p.filler == filler && p.node >= 0 {
			n++
		}
	}
	return n
}

func (w *world) free(node int) int64 {
	free := w.nodes[node].cpu
	for _, p := range w.pods {
		if p.node == node {
			free -= p.cpu
		}
	}
	return free
}

// snapshot returns the state as Allocate needs it.
func (w *world) snapshot() *Cluster {
	c := &Cluster{}
	at := map[int]int{}
	for i, n := range w.nodes {
		if !n.cordoned {
			at[i] = len(c.Nodes)
			c.Nodes = append(c.Nodes, Node{Allocatable: Vector{n.cpu}, Free: Vector{w.free(i)}})
		}
	}
	for i, f := range w.fillers {
		now := f.Filler
		now.Feasible = NewBitset(len(c.Nodes))
		for node, k := range at {
			if f.Feasible.Has(node) {
				now.Feasible.Set(k)
			}
		}
		for _, p := range w.pods {
			if p.filler != i || p.node < 0 {
				continue
			}
			node, known := at[p.node]
			if !known {
				node = Nowhere
			}
			now.Ranks = append(now.Ranks, Rank{Index: p.index, Node: node, Holds: Vector{p.cpu}})
		}
		slices.SortFunc(now.Ranks, func(a, b Rank) int { return int(a.Index - b.Index) })
		c.Fillers = append(c.Fillers, now)
	}
	for _, p := range w.pods {
		if p.filler < 0 && p.node < 0 {
			c.Waiting = append(c.Waiting, Pods{Count: 1, Needs: cores(p.cpu), Feasible: all(len(c.Nodes)), Nominated: Nowhere, Rejected: p.rejected})
		}
	}
	return c
}

// step runs one second.
func (w *world) step() {
	w.now++
	for _, p := range slices.Clone(w.pods) {
		if p.stopping > 0 && p.stopping <= w.now {
			w.remove(p)
		}
	}
	w.schedule()
	w.lastSeen = Allocate(w.snapshot())
	waiting := 0
	for _, p := range w.pods {
		if p.filler < 0 && p.node < 0 {
			p.hopeless = p.hopeless || w.lastSeen.Waiting[waiting].Nowhere > 0
			waiting++
		}
	}
	for i, f := range w.fillers {
		if w.now%w.period == f.phase && f.Size != w.lastSeen.Sizes[i] {
			f.Size = w.lastSeen.Sizes[i]
			w.changes++
		}
		w.reconcile(i)
	}
}

// reconcile does what the Job controller does.
func (w *world) reconcile(filler int) {
	f, have := w.fillers[filler], map[int64]bool{}
	for _, p := range slices.Clone(w.pods) {
		if p.filler != filler {
			continue
		}
		have[p.index] = have[p.index] || p.stopping == 0
		switch {
		case p.index < f.Size || p.stopping > 0:
		case p.node < 0:
			w.remove(p)
		default:
			p.stopping = w.now + w.drain
		}
	}
	for index := range f.Size {
		if !have[index] {
			w.add(&simPod{filler: filler, index: index, cpu: f.Needs[0].Amount, node: -1})
		}
	}
}

// schedule binds the pods that fit, oldest first.
func (w *world) schedule() {
	free := make([]int64, len(w.nodes))
	for i := range w.nodes {
		free[i] = w.free(i)
	}
	for _, p := range w.pods {
		if p.node >= 0 {
			continue
		}
		best, most := -1, 0.0
		for i, n := range w.nodes {
			if n.cordoned || free[i] < p.cpu || p.filler >= 0 && !w.fillers[p.filler].Feasible.Has(i) {
				continue
			}
			if score := float64(free[i]) / float64(n.cpu); best < 0 || score > most {
				best, most = i, score
			}
		}
		if best < 0 {
			p.rejected = true
			continue
		}
		p.node, p.bound = best, w.now
		free[best] -= p.cpu
		if p.filler < 0 {
			w.events++
		}
	}
}

// settle runs for some periods.
func (w *world) settle(periods int) {
	for range periods * w.period {
		w.step()
	}
}
