package serve

import (
	"maps"
	"slices"

	"minicluster.internal/operator/pkg/flux"
)

// places are the nodes of an instance while what waits is placed on them.
type placement struct {
	all flux.Resources
	// usable are the ranks on which something could be placed, taken those of them on
	// which there is.
	usable, taken flux.IDSet
	// room is what is left of ranks that are taken, but for those that take no more.
	room map[uint32]amount
	// beyond is how many nodes are missing.
	beyond int
}

func newPlacement(ranks flux.IDSet, s situation) *placement {
	busy := s.allocated.Ranks()
	p := &placement{all: s.all, usable: ranks.Without(s.broken), taken: busy, room: map[uint32]amount{}}
	for _, node := range s.all.On(busy.Without(s.drained)).Without(s.allocated).Nodes {
		p.room[node.Rank] = amountOf(node)
	}
	return p
}

// placeNodes gives nodes to jobs that ask for them.
func (p *placement) placeNodes(w wantedJobs) {
	n := w.count * w.nodes
	got := w.ranks.Intersect(p.usable).Without(p.taken).First(n)
	p.taken = p.taken.Union(got)
	p.lacks(w, n-got.Count())
}

// placeSlots gives slots to jobs: on nodes that are in use already, then on others.
func (p *placement) placeSlots(w wantedJobs) {
	n := w.count * w.slots
	for _, rank := range slices.Sorted(maps.Keys(p.room)) {
		if n > 0 && w.ranks.Contains(rank) {
			n -= p.fill(rank, n, w.perNode())
		}
	}
	var got []uint32
	for rank := range w.ranks.Intersect(p.usable).Without(p.taken).All() {
		if n <= 0 {
			break
		}
		node, _ := p.all.Node(rank)
		p.room[rank] = amountOf(node)
		n -= p.fill(rank, n, w.perNode())
		got = append(got, rank)
	}
	p.taken = p.taken.Union(flux.IDs(got...))
	most := w.perNode().times(w.best)
	p.lacks(w, (n+most-1)/most)
}

// fill places at most n slots on a rank, and returns how many.
func (p *placement) fill(rank uint32, n int, slot amount) int {
	n = min(n, slot.times(p.room[rank]))
	if p.room[rank] = p.room[rank].less(n, slot); p.room[rank] == (amount{}) {
		delete(p.room, rank)
	}
	return n
}

// lacks notes that nodes are missing, unless others than those that there are could not
// help.
func (p *placement) lacks(w wantedJobs, nodes int) {
	if w.requires == "" {
		p.beyond += nodes
	}
}

// pods is how many pods are needed for all that was placed, and all that is missing.
func (p *placement) pods() int {
	needed := p.taken
	if p.beyond > 0 {
		needed = needed.Union(p.usable)
	}
	pods := p.beyond
	if highest, ok := needed.Max(); ok {
		pods += int(highest) + 1
	}
	return pods
}
