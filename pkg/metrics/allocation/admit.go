package allocation

import "iter"

// admission places pending paying pods.
type admission struct {
	c *Cluster
	// now is what is free on each node, minus the pods that have been placed.
	now []Vector
	// leaving is what ranks hold that are removed anyway, held is what other removable ranks hold.
	leaving, held []Vector
	// scores of the nodes, for spread.
	scores []float64
	// top is the number of bound ranks of each filler that remain.
	top []int
	// cuts are the sizes that the fillers must have at most.
	cuts []int64
	// awaited are the nodes where pods are to run that the scheduler has rejected.
	awaited Bitset
}

func newAdmission(c *Cluster) *admission {
	a := &admission{
		c: c, now: make([]Vector, len(c.Nodes)), leaving: make([]Vector, len(c.Nodes)), held: make([]Vector, len(c.Nodes)),
		top: make([]int, len(c.Fillers)), cuts: make([]int64, len(c.Fillers)), awaited: NewBitset(len(c.Nodes)),
		scores: make([]float64, len(c.Nodes)),
	}
	for i := range c.Nodes {
		width := len(c.Nodes[i].Free)
		all := make(Vector, 3*width)
		a.now[i], a.leaving[i], a.held[i] = all[:width:width], all[width:2*width:2*width], all[2*width:]
		copy(a.now[i], c.Nodes[i].Free)
	}
	for i := range c.Fillers {
		f := &c.Fillers[i]
		a.cuts[i], a.top[i] = unlimited, len(f.Ranks)
		for k := len(f.Ranks) - 1; k >= 0 && f.Ranks[k].Index >= f.Minimum; k-- {
			r := &f.Ranks[k]
			to := a.held
			if r.Index >= f.Size {
				to, a.top[i] = a.leaving, k
			}
			if r.Node != Nowhere {
				to[r.Node].Plus(r.Holds)
			}
		}
	}
	return a
}

// admit places the pods of a group as long as there is room for one: where they fit now, where they fit after ranks
// are gone that leave anyway, and where they fit if fillers shrink.
func (a *admission) admit(p *Pods) Outcome {
	if p.Nominated != Nowhere {
		a.place(p, p.Nominated, p.Count)
		return Outcome{Fit: p.Count}
	}
	if p.Count == 0 {
		return Outcome{}
	}
	var outcome Outcome
	outcome.Fit = a.spread(p, p.Count, func(i int) bool { return a.now[i].fits(p.Needs) })
	left := p.Count - outcome.Fit
	if left > 0 {
		n := a.spread(p, left, func(i int) bool { return a.now[i].fitsWith(a.leaving[i], p.Needs) })
		left -= n
		n = a.shrinkFor(p, left)
		left -= n
		outcome.Shrink = p.Count - outcome.Fit - left
	}
	outcome.Nowhere = left
	return outcome
}

// place places pods on a node.
func (a *admission) place(p *Pods, node int, count int64) {
	a.now[node].Minus(p.Needs, count)
	if p.Rejected {
		a.awaited.Set(node)
	}
}

// spread places up to some pods, one by one, on the feasible node that the scheduler prefers among those on which one
// fits: the node of which the largest part is free. It returns how many it has placed.
func (a *admission) spread(p *Pods, count int64, fits func(node int) bool) int64 {
	scores := a.scores
	candidates := heap{less: func(i, k int) bool { return scores[i] > scores[k] || scores[i] == scores[k] && i < k }}
	best := Nowhere
	for i := range p.Feasible.All() {
		if !fits(i) {
			continue
		}
		scores[i] = a.score(i)
		switch {
		case count > 1:
			candidates.push(i)
		case best == Nowhere || scores[i] > scores[best]:
			best = i
		}
	}
	if best != Nowhere {
		a.place(p, best, 1)
		return 1
	}
	var placed int64
	for placed < count && len(candidates.all) > 0 {
		node := candidates.all[0]
		a.place(p, node, 1)
		placed++
		if !fits(node) {
			candidates.drop()
			continue
		}
		scores[node] = a.score(node)
		candidates.fix()
	}
	return placed
}

// score is the sum of the free parts of CPU and memory of a node, which are the first two resources.
func (a *admission) score(node int) float64 {
	var sum float64
	allocatable := a.c.Nodes[node].Allocatable
	for r := range min(2, len(allocatable)) {
		if allocatable[r] > 0 {
			sum += float64(a.now[node][r]) / float64(allocatable[r])
		}
	}
	return sum
}

// shrinkFor removes ranks until up to some pods fit, places these, and returns their number. It removes none for a pod
// that would not fit even without any removable rank.
func (a *admission) shrinkFor(p *Pods, count int64) int64 {
	if count == 0 {
		return 0
	}
	from := a.yielding(p)
	possible := a.possible(p, from.all)
	var placed int64
	for placed < count && possible.any(p.Needs) {
		node := a.shrinkUntilFit(p, from)
		if node == Nowhere {
			break
		}
		for placed < count && a.now[node].fitsWith(a.leaving[node], p.Needs) {
			a.place(p, node, 1)
			possible.free[node].Minus(p.Needs, 1)
			placed++
		}
	}
	return placed
}

// shrinkUntilFit removes ranks, always of the filler that has most in relation to its weight, until a pod fits on a
// node, and returns the node.
func (a *admission) shrinkUntilFit(p *Pods, from *heap) int {
	for len(from.all) > 0 {
		i := from.all[0]
		f := &a.c.Fillers[i]
		node := a.removeTop(i)
		if a.top[i] == 0 || f.Ranks[a.top[i]-1].Index < f.Minimum {
			from.drop()
		} else {
			from.fix()
		}
		if node != Nowhere && p.Feasible.Has(node) && a.now[node].fitsWith(a.leaving[node], p.Needs) {
			return node
		}
	}
	return Nowhere
}

// yielding returns the fillers that may remove ranks for a pod: they have removable ranks on its nodes, and no higher
// priority. The first one has most in relation to its weight.
func (a *admission) yielding(p *Pods) *heap {
	last := func(i int) int64 { return a.c.Fillers[i].Ranks[a.top[i]-1].Index + 1 }
	all := &heap{less: func(i, k int) bool {
		n, m := last(i)*a.c.Fillers[k].Weight, last(k)*a.c.Fillers[i].Weight
		return n > m || n == m && i > k
	}}
	for i := range a.c.Fillers {
		if a.c.Fillers[i].Priority > p.Priority {
			continue
		}
		for r := range a.removable(i) {
			if r.Node != Nowhere && p.Feasible.Has(r.Node) {
				all.push(i)
				break
			}
		}
	}
	return all
}

// removable iterates over the ranks that a filler may still remove, from the highest one.
func (a *admission) removable(filler int) iter.Seq[*Rank] {
	f := &a.c.Fillers[filler]
	return func(yield func(*Rank) bool) {
		for k := a.top[filler] - 1; k >= 0 && f.Ranks[k].Index >= f.Minimum; k-- {
			if !yield(&f.Ranks[k]) {
				return
			}
		}
	}
}

// potential is what would be free on some nodes.
type potential struct {
	nodes []int
	free  []Vector
}

// any reports whether a pod fits on a node. It drops the nodes before that.
func (p *potential) any(all Needs) bool {
	for ; len(p.nodes) > 0; p.nodes = p.nodes[1:] {
		if p.free[p.nodes[0]].fits(all) {
			return true
		}
	}
	return false
}

// possible returns what would be free for a pod without the removable ranks of fillers.
func (a *admission) possible(p *Pods, fillers []int) *potential {
	all := &potential{free: make([]Vector, len(a.c.Nodes))}
	for i := range p.Feasible.All() {
		all.nodes = append(all.nodes, i)
		all.free[i] = append(Vector{}, a.now[i]...)
		all.free[i].Plus(a.leaving[i])
	}
	for _, i := range fillers {
		for r := range a.removable(i) {
			if r.Node != Nowhere && p.Feasible.Has(r.Node) {
				all.free[r.Node].Plus(r.Holds)
			}
		}
	}
	return all
}

// removeTop removes the highest rank of a filler and returns its node.
func (a *admission) removeTop(filler int) int {
	f := &a.c.Fillers[filler]
	a.top[filler]--
	r := &f.Ranks[a.top[filler]]
	a.cuts[filler] = r.Index
	if r.Node != Nowhere {
		a.held[r.Node].subtract(r.Holds)
		a.leaving[r.Node].Plus(r.Holds)
	}
	return r.Node
}

// mustNotGrow reports whether a pod that was rejected is to run on a node of a filler.
func (a *admission) mustNotGrow(filler int) bool {
	return a.awaited.overlaps(a.c.Fillers[filler].Feasible)
}

// room returns what is free on each node without any removable rank, except for ranks on nodes that accept no new pods
// of their filler, which stay. The admission cannot be used afterwards.
func (a *admission) room() []Vector {
	for i := range a.now {
		a.now[i].Plus(a.leaving[i])
		a.now[i].Plus(a.held[i])
	}
	for i := range a.c.Fillers {
		for r := range a.removable(i) {
			if r.Node != Nowhere && !a.c.Fillers[i].Feasible.Has(r.Node) {
				a.now[r.Node].subtract(r.Holds)
			}
		}
	}
	return a.now
}
