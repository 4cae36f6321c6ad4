package allocation

import "slices"

// fill shares free capacity between fillers.
type fill struct {
	c *Cluster
	// free on each node.
	free []Vector
	// order of the nodes: those that fewer fillers can use come first, so that others keep what only they can use.
	order   []int
	classes []class
	// classOf is the class of each filler, sets the set of nodes of each class.
	classOf []int
	sets    []nodeSet
	// placed has the pods that were placed on each node.
	placed [][]tally
	// moves is how many nodes may still be examined to move pods: a limit that depends on the snapshot only.
	moves int
}

// class is the fillers whose pods are equal.
type class struct {
	needs Needs
	set   int
	// next is the index in the order of the first node that may have room.
	next int
	// full is set if no node has room, and no pod of others can be moved.
	full bool
}

// nodeSet is a set of nodes. If a filler has a reserve on them, free is what is free on them in total.
type nodeSet struct {
	nodes Bitset
	free  Vector
}

// tally is a number of pods of a class.
type tally struct {
	class int
	count int64
}

// maxMoves limits the search for pods that can be moved.
const maxMoves = 5_000_000

func newFill(c *Cluster, free []Vector) *fill {
	f := &fill{c: c, free: free, classOf: make([]int, len(c.Fillers)), placed: make([][]tally, len(c.Nodes)), moves: maxMoves}
	bySet, byClass, users := map[string]int{}, map[string]int{}, make([]int, len(c.Nodes))
	for i := range c.Fillers {
		filler := &c.Fillers[i]
		text := filler.Feasible.text()
		set, known := bySet[text]
		if !known {
			set = len(f.sets)
			bySet[text] = set
			f.sets = append(f.sets, nodeSet{nodes: filler.Feasible})
			for node := range filler.Feasible.All() {
				users[node]++
			}
		}
		key := text + filler.Needs.String()
		if _, known := byClass[key]; !known {
			byClass[key] = len(f.classes)
			f.classes = append(f.classes, class{needs: filler.Needs, set: set})
		}
		f.classOf[i] = byClass[key]
		if len(filler.Reserve) > 0 {
			f.sets[set].sum(free)
		}
	}
	f.order = make([]int, len(c.Nodes))
	for i := range f.order {
		f.order[i] = i
	}
	slices.SortStableFunc(f.order, func(a, b int) int { return users[a] - users[b] })
	return f
}

// sum sets what is free on the nodes in total.
func (s *nodeSet) sum(free []Vector) {
	if s.free != nil {
		return
	}
	for node := range s.nodes.All() {
		if s.free == nil {
			s.free = make(Vector, len(free[node]))
		}
		s.free.Plus(free[node])
	}
}

// run gives one pod after the other to the filler that has least in relation to its weight, and returns the sizes.
func (f *fill) run() []int64 {
	sizes, elsewhere := make([]int64, len(f.c.Fillers)), make([][]int64, len(f.c.Fillers))
	waiting := heap{less: func(i, k int) bool {
		n, m := (sizes[i]+1)*f.c.Fillers[k].Weight, (sizes[k]+1)*f.c.Fillers[i].Weight
		return n < m || n == m && i < k
	}}
	for i := range f.c.Fillers {
		sizes[i], elsewhere[i] = f.c.Fillers[i].Minimum, f.elsewhere(i)
		waiting.push(i)
	}
	for len(waiting.all) > 0 {
		i := waiting.all[0]
		filler := &f.c.Fillers[i]
		for len(elsewhere[i]) > 0 && elsewhere[i][0] < sizes[i] {
			elsewhere[i] = elsewhere[i][1:]
		}
		switch {
		case sizes[i] >= filler.Maximum:
			waiting.drop()
		case len(elsewhere[i]) > 0 && elsewhere[i][0] == sizes[i], f.give(i):
			sizes[i]++
			waiting.fix()
		default:
			waiting.drop()
		}
	}
	return sizes
}

// elsewhere returns the ranks of a filler that run on nodes that accept no pods of it. They count as they are, unless
// they are being deleted: pods that replace them need room on other nodes.
func (f *fill) elsewhere(i int) []int64 {
	var all []int64
	for _, r := range f.c.Fillers[i].Ranks {
		if r.Stopping {
			continue
		}
		if r.Node == Nowhere || !f.c.Fillers[i].Feasible.Has(r.Node) {
			all = append(all, r.Index)
		}
	}
	return all
}

// give places a pod of a filler, and reports whether there is room.
func (f *fill) give(i int) bool {
	c := &f.classes[f.classOf[i]]
	free := f.sets[c.set].free
	for _, reserved := range f.c.Fillers[i].Reserve {
		n := c.needs.of(reserved.Index)
		if n > 0 && reserved.Index >= 0 && free != nil && free[reserved.Index]-n < reserved.Amount {
			return false
		}
	}
	if c.full {
		return false
	}
	for ; c.next < len(f.order); c.next++ {
		node := f.order[c.next]
		if f.sets[c.set].nodes.Has(node) && f.free[node].fits(c.needs) {
			f.place(f.classOf[i], node, 1)
			return true
		}
	}
	c.full = !f.makeRoom(f.classOf[i])
	return !c.full
}

// place places a pod of a class on a node, or removes one if count is -1.
func (f *fill) place(class, node int, count int64) {
	needs := f.classes[class].needs
	f.free[node].Minus(needs, count)
	for i := range f.sets {
		if f.sets[i].free != nil && f.sets[i].nodes.Has(node) {
			f.sets[i].free.Minus(needs, count)
		}
	}
	k := slices.IndexFunc(f.placed[node], func(t tally) bool { return t.class == class })
	if k < 0 {
		f.placed[node] = append(f.placed[node], tally{class: class})
		k = len(f.placed[node]) - 1
	}
	f.placed[node][k].count += count
}

// step is a class whose pods on a node may move so that a pod of another class can take the place of one.
type step struct {
	class, node, previous int
}

// makeRoom places a pod of a class that fits nowhere, by moving one pod of another class to a node that only that one
// can use, if necessary in several steps. It reports whether it has placed the pod.
func (f *fill) makeRoom(class int) bool {
	seen := make([]bool, len(f.classes))
	seen[class] = true
	steps := []step{{class: class, node: Nowhere, previous: Nowhere}}
	for at := 0; at < len(steps); at++ {
		from := &f.classes[steps[at].class]
		for node := range f.sets[from.set].nodes.All() {
			if f.moves--; f.moves < 0 {
				return false
			}
			for _, t := range f.placed[node] {
				other := &f.classes[t.class]
				if t.count == 0 || seen[t.class] || !f.canReplace(from, other, node) {
					continue
				}
				seen[t.class] = true
				steps = append(steps, step{class: t.class, node: node, previous: at})
				if free := f.firstFree(other); free != Nowhere {
					f.follow(steps, free)
					return true
				}
			}
		}
	}
	return false
}

// canReplace reports whether a pod of a class has room where a pod of another one runs that could run elsewhere. Pods
// that are smaller are not moved, because the scheduler does not move pods and would leave the gaps.
func (f *fill) canReplace(c, other *class, node int) bool {
	if f.sets[other.set].nodes.within(f.sets[c.set].nodes) || !other.needs.covers(c.needs) {
		return false
	}
	for _, n := range c.needs {
		if n.Index < 0 || f.free[node][n.Index]+other.needs.of(n.Index) < n.Amount {
			return false
		}
	}
	return true
}

// firstFree returns the first node on which a pod of a class fits, or Nowhere.
func (f *fill) firstFree(c *class) int {
	for ; c.next < len(f.order); c.next++ {
		node := f.order[c.next]
		if f.sets[c.set].nodes.Has(node) && f.free[node].fits(c.needs) {
			return node
		}
	}
	return Nowhere
}

// follow moves a pod of the last class to a free node, and one of each previous class to the place of the next one.
func (f *fill) follow(steps []step, free int) {
	for at := len(steps) - 1; at != Nowhere; at = steps[at].previous {
		s := steps[at]
		if s.node != Nowhere {
			f.place(s.class, s.node, -1)
		}
		f.place(s.class, free, 1)
		free = s.node
	}
}
