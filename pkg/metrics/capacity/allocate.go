package capacity

import (
	"cmp"
	"math"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/metrics/allocation"
)

// filler is an opportunistic MiniCluster.
type filler struct {
	*workload
	weight int64
	// minimum, maximum and size are the bounds of its size and the size that it is asked to have.
	minimum, maximum, size int64
}

// allocated is what the opportunistic MiniClusters of a snapshot get.
type allocated struct {
	// sizes are the sizes that the fillers can have, harvested is what their ranks above the minimum request, in
	// thousandths of a core.
	sizes     map[types.NamespacedName]int64
	harvested map[types.NamespacedName]int64
	// pending is the number of pending paying pods by room.
	pending map[room]int64
	// nowhere has the pending paying pods that fit nowhere, in groups of equal shape.
	nowhere [][]*podRecord
	// fit has the pending paying pods that have room now.
	fit []*podRecord
	// yields are the priorities of fillers in ascending order, and what is free on each node without the ranks above
	// the minimum of the fillers up to that priority.
	yields []yieldLevel
}

type yieldLevel struct {
	priority int32
	free     []vector
}

// yield selects the fillers whose ranks above the minimum do not count: the first levels of allocated.yields.
type yield int

// noYield counts all pods.
const noYield yield = 0

// room says whether there is room for a pending pod.
type room string

const (
	roomNow         room = "now"
	roomAfterShrink room = "after_shrink"
	roomNone        room = "none"
)

// unboundedSize is more than any size.
const unboundedSize = math.MaxInt32

// allocate computes what some fillers get. Pods for which ignore returns true hold no room.
func (s *snapshot) allocate(fillers []*filler, ignore func(*podRecord) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.allocated
	a.sizes, a.harvested = map[types.NamespacedName]int64{}, map[types.NamespacedName]int64{}
	a.pending = map[room]int64{roomNow: 0, roomAfterShrink: 0, roomNone: 0}
	c := &allocation.Cluster{Nodes: make([]allocation.Node, len(s.nodes))}
	for i := range s.nodes {
		c.Nodes[i] = allocation.Node{Allocatable: s.nodes[i].allocatable, Free: s.nodes[i].free}
	}
	jobs := map[types.NamespacedName]bool{}
	for _, f := range fillers {
		jobs[f.Job] = true
		c.Fillers = append(c.Fillers, s.allocationFiller(f))
	}
	groups := s.waiting(c, jobs, ignore)
	result := allocation.Allocate(c)
	for i, f := range fillers {
		a.sizes[f.Job] = result.Sizes[i]
		for _, r := range c.Fillers[i].Ranks {
			if r.Index >= f.minimum {
				a.harvested[f.Job] += r.Holds[0]
			}
		}
	}
	for i, outcome := range result.Waiting {
		a.pending[roomNow] += outcome.Fit
		a.pending[roomAfterShrink] += outcome.Shrink
		a.pending[roomNone] += outcome.Nowhere
		a.fit = append(a.fit, groups[i][:outcome.Fit]...)
		if n := int64(len(groups[i])); outcome.Nowhere > 0 {
			a.nowhere = append(a.nowhere, groups[i][n-outcome.Nowhere:])
		}
	}
	s.setYields(c)
}

// waiting adds the pending paying pods to a cluster and returns them.
func (s *snapshot) waiting(c *allocation.Cluster, fillers map[types.NamespacedName]bool, ignore func(*podRecord) bool) [][]*podRecord {
	var groups [][]*podRecord
	for _, p := range s.pending {
		if fillers[p.pod.owner()] {
			continue
		}
		pods := p.pods
		if slices.ContainsFunc(pods, ignore) {
			pods = slices.DeleteFunc(slices.Clone(pods), ignore)
		}
		nominated, known := s.byName[p.pod.Placement.Nominated]
		if !known {
			nominated = allocation.Nowhere
		}
		groups = append(groups, pods)
		c.Waiting = append(c.Waiting, allocation.Pods{
			Count: int64(len(pods)), Needs: p.needs, Priority: p.pod.Priority, Feasible: s.feasibleFor(p.pod.Placement).nodes,
			Nominated: nominated, Rejected: p.pod.Rejected,
		})
	}
	return groups
}

func (s *snapshot) allocationFiller(f *filler) allocation.Filler {
	requests, priority, _ := s.podsOf(f.workload)
	feasible := s.feasibleFor(f.Placement)
	out := allocation.Filler{
		Weight: f.weight, Minimum: f.minimum, Maximum: f.maximum, Size: f.size, Priority: priority,
		Needs: s.needs(&requests), Feasible: feasible.nodes,
	}
	if f.Suspended {
		out.Minimum = 0
	}
	var reserved Resources
	for name, share := range f.Reserve {
		if i, known := s.index[name]; known {
			reserved.Set(name, share.Of(feasible.allocatable[i]))
		}
	}
	out.Reserve = s.needs(&reserved)
	template := s.vector(&f.Requests)
	for _, p := range s.jobs[f.Job] {
		if p.Node == "" {
			continue
		}
		node, known := s.byName[p.Node]
		if !known {
			node = allocation.Nowhere
		}
		holds := s.vector(&p.Requests)
		if slices.Equal(holds, template) {
			holds = template
		}
		out.Ranks = append(out.Ranks, allocation.Rank{Index: p.Index, Node: node, Holds: holds, Stopping: p.Stopping})
	}
	slices.SortFunc(out.Ranks, func(a, b allocation.Rank) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Node, b.Node))
	})
	return out
}

// setYields computes the free capacity for pods that take precedence over fillers.
func (s *snapshot) setYields(c *allocation.Cluster) {
	priorities := map[int32]bool{}
	for i := range c.Fillers {
		priorities[c.Fillers[i].Priority] = true
	}
	for priority := range priorities {
		level := yieldLevel{priority: priority, free: make([]vector, len(s.nodes))}
		for i := range s.nodes {
			level.free[i] = slices.Clone(s.nodes[i].free)
		}
		for i := range c.Fillers {
			f := &c.Fillers[i]
			for _, r := range f.Ranks {
				if f.Priority <= priority && r.Index >= f.Minimum && r.Node != allocation.Nowhere {
					level.free[r.Node].Plus(r.Holds)
				}
			}
		}
		s.allocated.yields = append(s.allocated.yields, level)
	}
	slices.SortFunc(s.allocated.yields, func(a, b yieldLevel) int { return cmp.Compare(a.priority, b.priority) })
}

// yieldTo returns over which fillers a workload takes precedence: over none if it is opportunistic itself.
func (s *snapshot) yieldTo(w *workload, priority int32) yield {
	if w.Opportunistic {
		return noYield
	}
	levels := noYield
	for _, level := range s.allocated.yields {
		if level.priority <= priority {
			levels++
		}
	}
	return levels
}

// free returns what may still be requested on a node. The result must not be modified.
func (s *snapshot) free(y yield, node int) vector {
	if y == noYield {
		return s.nodes[node].free
	}
	return s.allocated.yields[y-1].free[node]
}
