package allocation

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// world simulates a cluster in steps of a second: the scheduler, which prefers the node of which most is free and
// tries pods of the highest priority first, of these the oldest ones, without preemption; autoscalers, which set the
// size of each filler once a period; and Jobs, which replace missing ranks and remove the highest ones, whose pods take
// some time to stop.
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
	// has is the amount of each resource.
	has      Vector
	cordoned bool
}

type simFiller struct {
	Filler
	// phase is the time within a period at which its autoscaler runs.
	phase int
}

// simPod is a paying pod, or a rank of a filler.
type simPod struct {
	serial int
	filler int // or -1
	index  int64
	needs  Needs
	// feasible nodes, nil for all of them.
	feasible Bitset
	priority int32
	node     int // or -1
	created  int
	bound    int
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

func (w *world) addPaying(cpu int64) *simPod { return w.addPod(cores(cpu), nil, 0) }

func (w *world) addPod(needs Needs, feasible Bitset, priority int32) *simPod {
	p := &simPod{filler: -1, needs: needs, feasible: feasible, priority: priority, node: -1}
	w.add(p)
	w.events++
	return p
}

// on reports whether a pod may run on a node.
func (p *simPod) on(node int) bool { return p.feasible == nil || p.feasible.Has(node) }

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

func (w *world) free(node int) Vector {
	free := slices.Clone(w.nodes[node].has)
	for _, p := range w.pods {
		if p.node == node {
			free.Minus(p.needs, 1)
		}
	}
	return free
}

// waiting returns the pending paying pods, in the order in which the scheduler tries them.
func (w *world) waiting() []*simPod {
	return slices.DeleteFunc(w.queue(), func(p *simPod) bool { return p.filler >= 0 })
}

// queue returns the pending pods, in the order in which the scheduler tries them.
func (w *world) queue() []*simPod {
	all := slices.DeleteFunc(slices.Clone(w.pods), func(p *simPod) bool { return p.node >= 0 })
	slices.SortStableFunc(all, func(a, b *simPod) int { return cmp.Compare(b.priority, a.priority) })
	return all
}

// vector returns what a pod holds.
func (w *world) vector(needs Needs) Vector {
	holds := make(Vector, len(w.nodes[0].has))
	holds.Minus(needs, -1)
	return holds
}

// snapshot returns the state as Allocate needs it.
func (w *world) snapshot() *Cluster {
	c := &Cluster{}
	at := map[int]int{}
	for i, n := range w.nodes {
		if !n.cordoned {
			at[i] = len(c.Nodes)
			c.Nodes = append(c.Nodes, Node{Allocatable: n.has, Free: w.free(i)})
		}
	}
	for i, f := range w.fillers {
		now := f.Filler
		now.Feasible = translate(f.Feasible, at)
		for _, p := range w.pods {
			if p.filler != i || p.node < 0 {
				continue
			}
			node, known := at[p.node]
			if !known {
				node = Nowhere
			}
			now.Ranks = append(now.Ranks, Rank{Index: p.index, Node: node, Holds: w.vector(p.needs), Stopping: p.stopping > 0})
		}
		slices.SortFunc(now.Ranks, func(a, b Rank) int { return int(a.Index - b.Index) })
		c.Fillers = append(c.Fillers, now)
	}
	for _, p := range w.waiting() {
		feasible := all(len(c.Nodes))
		if p.feasible != nil {
			feasible = translate(p.feasible, at)
		}
		c.Waiting = append(c.Waiting, Pods{
			Count: 1, Needs: p.needs, Feasible: feasible, Priority: p.priority, Nominated: Nowhere, Rejected: p.rejected,
		})
	}
	return c
}

// translate returns a set of nodes with the indexes that they have in a snapshot.
func translate(set Bitset, at map[int]int) Bitset {
	out := NewBitset(len(at))
	for node, k := range at {
		if set.Has(node) {
			out.Set(k)
		}
	}
	return out
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
	for i, p := range w.waiting() {
		p.hopeless = p.hopeless || w.lastSeen.Waiting[i].Nowhere > 0
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
			w.add(&simPod{filler: filler, index: index, needs: f.Needs, feasible: f.Feasible, priority: f.Priority, node: -1})
		}
	}
}

// schedule binds the pods that fit.
func (w *world) schedule() {
	free := make([]Vector, len(w.nodes))
	for i := range w.nodes {
		free[i] = w.free(i)
	}
	for _, p := range w.queue() {
		best, most := -1, 0.0
		for i, n := range w.nodes {
			if n.cordoned || !free[i].fits(p.needs) || !p.on(i) {
				continue
			}
			score := 0.0
			for r := range min(2, len(n.has)) {
				if n.has[r] > 0 {
					score += float64(free[i][r]) / float64(n.has[r])
				}
			}
			if best < 0 || score > most {
				best, most = i, score
			}
		}
		if best < 0 {
			p.rejected = true
			continue
		}
		p.node, p.bound = best, w.now
		free[best].Minus(p.needs, 1)
		if w.pays(p) {
			w.events++
		}
	}
}

// pays reports whether a pod is paying: ranks below the minimum of a filler are, too.
func (w *world) pays(p *simPod) bool { return p.filler < 0 || p.index < w.fillers[p.filler].Minimum }

// settle runs for some periods.
func (w *world) settle(periods int) {
	for range periods * w.period {
		w.step()
	}
}
