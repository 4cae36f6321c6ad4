package allocation

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// randomWorld has some nodes and fillers. With equal pods, all fillers have pods of one core.
func randomWorld(seed uint64, equal bool) *world {
	w := newWorld(seed)
	w.drain = 1 + w.random.IntN(20)
	for range 2 + w.random.IntN(6) {
		w.nodes = append(w.nodes, &simNode{has: Vector{int64(8 + 4*w.random.IntN(5))}})
	}
	for range 1 + w.random.IntN(4) {
		f := filler(len(w.nodes), 1)
		if !equal {
			f.Needs = cores(int64(1 + w.random.IntN(3)))
		}
		f.Weight = int64(1 + w.random.IntN(3))
		if w.random.IntN(4) == 0 {
			f.Maximum = int64(1 + w.random.IntN(20))
		}
		if w.random.IntN(4) == 0 {
			f.Minimum = min(int64(w.random.IntN(4)), f.Maximum)
		}
		if w.random.IntN(3) == 0 {
			f.Reserve = Needs{{Index: 0, Amount: int64(w.random.IntN(8))}}
		}
		w.addFiller(f)
	}
	return w
}

// TestPayingPodsWaitOnePeriodAndDrain: a paying pod for which there is room once fillers shrink runs after at most one
// period of the autoscalers and the time that pods take to stop. Two seconds are for the steps of the simulation.
//
// If pods of fillers differ in size, one that waits for a gap may take the room that another filler has just left,
// before its own autoscaler takes it back. This may cost a second period, in fewer than one case of a hundred.
func TestPayingPodsWaitOnePeriodAndDrain(t *testing.T) {
	served, late := 0, 0
	for seed := range uint64(120) {
		w := randomWorld(seed, seed%2 == 0)
		w.settle(6)
		for range 6 {
			p := w.addPaying(int64(1 + w.random.IntN(8)))
			for range 4 * w.period {
				w.step()
			}
			if p.hopeless {
				w.remove(p)
				continue
			}
			served++
			require.GreaterOrEqual(t, p.node, 0, "seed %d: a pod of %s waits", seed, p.needs)
			limit := w.period + w.drain + 2
			if seed%2 == 1 && p.bound-p.created > limit {
				late++
				limit += w.period + w.drain
			}
			require.LessOrEqual(t, p.bound-p.created, limit, "seed %d: drain %d", seed, w.drain)
			if paying := w.paying(); w.random.IntN(2) == 0 && len(paying) > 0 {
				w.remove(paying[w.random.IntN(len(paying))])
			}
		}
	}
	t.Logf("%d pods, of which %d in the second period", served, late)
	assert.Greater(t, served, 400)
	assert.Less(t, 100*late, served)
}

// TestRest: once nothing changes any more, the fillers have the sizes that were computed, and computing again changes
// nothing.
func TestRest(t *testing.T) {
	for seed := range uint64(120) {
		w := randomWorld(seed, seed%2 == 0)
		for range 1 + w.random.IntN(5) {
			w.addPaying(int64(1 + w.random.IntN(4)))
		}
		w.settle(8)
		changes := w.changes
		for range 3 * w.period {
			w.step()
			for i, f := range w.fillers {
				require.Equal(t, w.lastSeen.Sizes[i], f.Size, "seed %d", seed)
			}
		}
		require.Equal(t, changes, w.changes, "seed %d", seed)
	}
}

// TestChanges: the sizes of all fillers together change at most as often as the load, times the fillers. Loads change
// when a paying pod is created, bound or removed, and when a node is cordoned or returns.
func TestChanges(t *testing.T) {
	total, loads := 0, 0
	for seed := range uint64(60) {
		w := randomWorld(seed, seed%2 == 0)
		w.settle(6)
		w.events, w.changes = 0, 0
		for range 10 {
			switch paying := w.paying(); {
			case w.random.IntN(6) == 0:
				n := w.nodes[w.random.IntN(len(w.nodes))]
				n.cordoned = !n.cordoned
				w.events++
			case w.random.IntN(3) == 0 && len(paying) > 0:
				w.remove(paying[w.random.IntN(len(paying))])
			default:
				for range 1 + w.random.IntN(4) {
					w.addPaying(int64(1 + w.random.IntN(6)))
				}
			}
			for range w.random.IntN(4 * w.period) {
				w.step()
			}
		}
		w.settle(4)
		total, loads = total+w.changes, loads+w.events
		if !assert.LessOrEqual(t, w.changes, w.events*len(w.fillers), "seed %d: %d fillers", seed, len(w.fillers)) {
			return
		}
	}
	t.Logf("%d changes of sizes for %d of the load", total, loads)
}

// TestCordon: cordoning a node leaves the size of every filler as it is, because their pods on it continue.
func TestCordon(t *testing.T) {
	for seed := range uint64(60) {
		w := randomWorld(seed, true)
		for i := range w.fillers {
			w.fillers[i].Maximum, w.fillers[i].Reserve = 1000, nil
		}
		w.settle(8)
		before := w.lastSeen.Sizes
		w.nodes[w.random.IntN(len(w.nodes))].cordoned = true
		w.settle(4)
		for i := range before {
			require.InDelta(t, before[i], w.lastSeen.Sizes[i], 1, "seed %d: %v, then %v", seed, before, w.lastSeen.Sizes)
		}
	}
}

// TestMaxMin: no filler could have one more pod by taking it from a filler that has more in relation to its weight, by
// more than one pod. All pods request one core, so whether sizes are possible can be decided exactly.
func TestMaxMin(t *testing.T) {
	for seed := range uint64(300) {
		w := randomWorld(seed, true)
		c := w.snapshot()
		for i := range c.Fillers {
			f := &c.Fillers[i]
			f.Minimum, f.Reserve = 0, nil
			if w.random.IntN(2) == 0 {
				f.Feasible = NewBitset(len(c.Nodes))
				for node := range c.Nodes {
					if w.random.IntN(2) == 0 {
						f.Feasible.Set(node)
					}
				}
			}
		}
		sizes := Allocate(c).Sizes
		require.True(t, possible(c, sizes), "seed %d: %v", seed, sizes)
		for i := range c.Fillers {
			if sizes[i] >= c.Fillers[i].Maximum {
				continue
			}
			more := append([]int64{}, sizes...)
			more[i]++
			require.False(t, possible(c, more), "seed %d: %v leaves room for filler %d", seed, sizes, i)
			for k := range c.Fillers {
				if (sizes[i]+1)*c.Fillers[k].Weight >= sizes[k]*c.Fillers[i].Weight {
					continue
				}
				other := append([]int64{}, more...)
				other[k]--
				require.False(t, possible(c, other), "seed %d: %v takes from filler %d", seed, sizes, i)
			}
		}
	}
}

// possible reports whether pods of one core have room on the nodes: a maximum flow from fillers to nodes.
func possible(c *Cluster, sizes []int64) bool {
	free, placed := make([]int64, len(c.Nodes)), make([][]int64, len(sizes))
	for i := range c.Nodes {
		free[i] = c.Nodes[i].Free[0]
	}
	for f := range placed {
		placed[f] = make([]int64, len(c.Nodes))
	}
	var put func(f int, seen []bool) bool
	put = func(f int, seen []bool) bool {
		for node := range c.Fillers[f].Feasible.All() {
			if seen[node] {
				continue
			}
			seen[node] = true
			if free[node] > 0 {
				free[node]--
				placed[f][node]++
				return true
			}
			for g := range placed {
				if placed[g][node] > 0 && put(g, seen) {
					placed[g][node]--
					placed[f][node]++
					return true
				}
			}
		}
		return false
	}
	for f, n := range sizes {
		for range n {
			if !put(f, make([]bool, len(c.Nodes))) {
				return false
			}
		}
	}
	return true
}

// TestPlacesDoNotMatter: while no paying pod waits, the sizes depend neither on the sizes of fillers nor on where their
// pods run.
func TestPlacesDoNotMatter(t *testing.T) {
	for seed := range uint64(60) {
		w := randomWorld(seed, false)
		for range w.random.IntN(6) {
			w.addPaying(int64(1 + w.random.IntN(4)))
			w.step()
		}
		w.settle(6)
		if len(w.snapshot().Waiting) > 0 {
			continue
		}
		want := w.lastSeen.Sizes
		for i, f := range w.fillers {
			f.Size = max(1, f.Minimum) + int64(w.random.IntN(10))
			w.reconcile(i)
		}
		for range 8 * w.period {
			w.step()
			require.Equal(t, want, w.lastSeen.Sizes, "seed %d", seed)
		}
	}
}

// TestManyFillers: two, three and ten fillers of equal weight have sizes within one pod of each other, after one period
// each, and keep them.
func TestManyFillers(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(uint64(n)) //nolint:gosec // small
			for range 6 {
				w.nodes = append(w.nodes, &simNode{has: Vector{30}})
			}
			for range n {
				w.addFiller(filler(6, 1))
				w.settle(4)
			}
			assert.LessOrEqual(t, w.changes, n*(n+1)/2, "a filler that starts changes the others once")
			for i := range w.fillers {
				assert.InDelta(t, 180/float64(n), float64(w.running(i)), 1)
			}
		})
	}
}
