package serve

import (
	"maps"
	"slices"

	"minicluster.internal/operator/pkg/flux"
)

// placement is the nodes of an instance while pending jobs are placed on them.
type placement struct {
	all flux.Resources
	// usable are the ranks that accept jobs, and taken those of them that have a job.
	usable, taken flux.IDSet
	// room is the remaining amount on ranks that are taken, except for ranks that accept no more jobs.
	room map[uint32]amount
	// beyond is the number of missing nodes.
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

// placeNodes assigns nodes to jobs that request nodes.
func (p *placement) placeNodes(w wantedJobs) {
	n := w.count * w.nodes
	got := w.ranks.Intersect(p.usable).Without(p.taken).First(n)
	p.taken = p.taken.Union(got)
	p.lacks(w, n-got.Count())
}

// placeSlots assigns slots to jobs: first on nodes in use, then on others.
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

// fill places at most n slots on a rank, and returns their number.
func (p *placement) fill(rank uint32, n int, slot amount) int {
	n = min(n, slot.times(p.room[rank]))
	if p.room[rank] = p.room[rank].less(n, slot); p.room[rank] == (amount{}) {
		delete(p.room, rank)
	}
	return n
}

// lacks records missing nodes, unless additional nodes could not help.
func (p *placement) lacks(w wantedJobs, nodes int) {
	if w.requires == "" {
		p.beyond += nodes
	}
}

// pods returns how many pods are needed for everything that was placed and everything that is missing.
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
