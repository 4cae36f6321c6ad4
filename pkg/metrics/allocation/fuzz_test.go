package allocation

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Resources of the simulated nodes.
const (
	cpu = iota
	memory
	podSlots
	gpu
	resources
)

// mixed is a world of node pools with several resources, with pods of several priorities that may use some of the pools
// only, because of a selector, an affinity or a taint.
type mixed struct {
	*world
	t *testing.T
	// pools are the nodes of each pool.
	pools []Bitset
	// equal is set if all pods of fillers are equal, and no filler has a higher priority than a paying pod.
	equal bool
	// sizes are the last computed ones, of the last steps.
	sizes [][]int64
	// calm is the number of steps since the last event.
	calm, seen int
}

func newMixed(t *testing.T, seed uint64) *mixed {
	t.Helper()
	m := &mixed{world: newWorld(seed), t: t}
	m.drain = 1 + m.random.IntN(20)
	m.equal = m.random.IntN(2) == 0
	number := 2 + m.random.IntN(8)
	for range 1 + m.random.IntN(3) {
		m.pools = append(m.pools, NewBitset(number))
	}
	for i := range number {
		n := &simNode{has: make(Vector, resources)}
		n.has[cpu], n.has[memory] = int64(8+4*m.random.IntN(5)), int64(16+16*m.random.IntN(3))
		n.has[podSlots], n.has[gpu] = int64(8+m.random.IntN(30)), int64(4*m.random.IntN(2))
		m.nodes = append(m.nodes, n)
		m.pools[m.random.IntN(len(m.pools))].Set(i)
	}
	for range 1 + m.random.IntN(5) {
		m.fill()
	}
	return m
}

// somewhere returns the nodes of some pools.
func (m *mixed) somewhere() Bitset {
	set := NewBitset(len(m.nodes))
	for any := false; !any; {
		for _, pool := range m.pools {
			if m.random.IntN(2) == 0 {
				for i := range pool.All() {
					set.Set(i)
					any = true
				}
			}
		}
		any = any || !slices.ContainsFunc(m.pools, func(b Bitset) bool { return slices.Max(b) > 0 })
	}
	return set
}

// needs returns what a pod needs, without zeros.
func needs(amounts ...int64) Needs {
	var all Needs
	for i, n := range amounts {
		if n > 0 {
			all = append(all, Need{Index: i, Amount: n})
		}
	}
	return all
}

// fill adds a filler.
func (m *mixed) fill() {
	f := Filler{Weight: int64(1 + m.random.IntN(3)), Maximum: 1000, Feasible: m.somewhere(), Needs: needs(1, 0, 1)}
	if !m.equal {
		f.Needs = needs(int64(m.random.IntN(4)), int64(m.random.IntN(8)), 1, int64(m.random.IntN(8)/6))
		f.Priority = int32(m.random.IntN(3) - 1) //nolint:gosec // small
	}
	if m.random.IntN(4) == 0 || len(f.Needs) == 1 {
		f.Maximum = int64(1 + m.random.IntN(20))
	}
	if m.random.IntN(4) == 0 {
		f.Minimum = min(int64(m.random.IntN(4)), f.Maximum)
	}
	if m.random.IntN(3) == 0 {
		f.Reserve = needs(int64(m.random.IntN(8)), int64(m.random.IntN(8)))
	}
	m.addFiller(f)
	m.events++
}

// pay adds a paying pod, sometimes one without requests.
func (m *mixed) pay() *simPod {
	amounts := []int64{int64(1 + m.random.IntN(8)), int64(m.random.IntN(12)), 1, int64(m.random.IntN(8) / 6)}
	if m.random.IntN(6) == 0 {
		amounts = []int64{0, 0, 1}
	}
	feasible, priority := Bitset(nil), int32(0)
	if m.random.IntN(2) == 0 {
		feasible = m.somewhere()
	}
	if !m.equal {
		priority = int32(m.random.IntN(3) - 1) //nolint:gosec // small
	}
	return m.addPod(needs(amounts...), feasible, priority)
}

// step runs one second and checks what holds at any time.
func (m *mixed) step() {
	m.world.step()
	if m.calm++; m.events != m.seen {
		m.calm, m.seen = 0, m.events
	}
	c := m.snapshot()
	again := Allocate(c)
	require.Equal(m.t, again, Allocate(m.snapshot()), "another replica")
	for i := range c.Fillers {
		f := &c.Fillers[i]
		require.GreaterOrEqual(m.t, again.Sizes[i], f.Minimum)
		require.LessOrEqual(m.t, again.Sizes[i], max(f.Minimum, f.Maximum))
	}
	m.sizes = append(m.sizes, again.Sizes)
	// While a paying pod waits, the node on which it gets room may change whenever a pod stops.
	if n := len(m.sizes); m.calm > 1 && n > 1 && !m.pending() {
		require.Equal(m.t, m.sizes[n-2], m.sizes[n-1], "second %d: no pod waits, and the load rests", m.now)
	}
}

// pending reports whether a paying pod waits, or a rank below the minimum of a filler.
func (m *mixed) pending() bool {
	return slices.ContainsFunc(m.queue(), m.pays)
}

func (m *mixed) run(seconds int) {
	for range seconds {
		m.step()
	}
}

// servable reports whether a pod has room if all fillers that must make room for it had their minimum. It
// examines one node after the other.
func (m *mixed) servable(p *simPod) bool {
	for i, n := range m.nodes {
		if n.cordoned || !p.on(i) {
			continue
		}
		free := slices.Clone(n.has)
		for _, o := range m.pods {
			if o.node == i && (o.filler < 0 || o.index < m.fillers[o.filler].Minimum || o.priority > p.priority) {
				free.Minus(o.needs, 1)
			}
		}
		if free.fits(p.needs) {
			return true
		}
	}
	return false
}

// serve adds a paying pod and checks that it runs in time if it can be served.
func (m *mixed) serve() {
	p := m.pay()
	can := m.servable(p)
	limit := m.period + m.drain + 2
	for range 3 * limit {
		if m.step(); p.node >= 0 {
			break
		}
	}
	switch {
	case !can && p.node < 0:
		require.True(m.t, p.hopeless, "a pod of %s has no room", p.needs)
		m.remove(p)
	case slices.ContainsFunc(m.fillers, func(f *simFiller) bool { return f.Priority > p.priority }):
		// The scheduler places new ranks of that filler first.
	default:
		require.GreaterOrEqual(m.t, p.node, 0, "a pod of %s waits", p.needs)
		if m.equal {
			// A pod that stops may change the node that the scheduler prefers, which costs a second period.
			require.LessOrEqual(m.t, p.bound-p.created, limit+m.period, "drain %d", m.drain)
		}
	}
}

// disturb changes the load.
func (m *mixed) disturb() {
	switch m.random.IntN(7) {
	case 0:
		n := m.nodes[m.random.IntN(len(m.nodes))]
		n.cordoned = !n.cordoned
		m.events++
	case 1, 2:
		if paying := m.paying(); len(paying) > 0 {
			m.remove(paying[m.random.IntN(len(paying))])
		}
	case 3:
		if len(m.fillers) < 6 {
			m.fill()
		}
	default:
		for range 1 + m.random.IntN(3) {
			m.pay()
		}
	}
}

// rest checks that nothing changes any more, and that equal pods are shared max-min.
func (m *mixed) rest() {
	m.run(8 * m.period)
	changes := m.changes
	for range 2 * m.period {
		m.step()
		for i, f := range m.fillers {
			require.Equal(m.t, m.lastSeen.Sizes[i], f.Size, "filler %d", i)
		}
	}
	require.Equal(m.t, changes, m.changes)
	if m.equal && !m.pending() && !slices.ContainsFunc(m.nodes, func(n *simNode) bool { return n.cordoned }) {
		m.shared()
	}
}

// shared checks that no filler without a reserve could have one more pod by taking it from one that has more in
// relation to its weight, by more than one pod.
func (m *mixed) shared() {
	c, sizes := m.snapshot(), slices.Clone(m.lastSeen.Sizes)
	for i := range c.Nodes {
		free := slices.Clone(m.nodes[i].has)
		for _, p := range m.pods {
			if p.node == i && m.pays(p) {
				free.Minus(p.needs, 1)
			}
		}
		c.Nodes[i].Free = Vector{min(free[cpu], free[podSlots])}
	}
	all := slices.Clone(sizes)
	for i, f := range m.fillers {
		sizes[i] -= f.Minimum // these ranks do not move
	}
	for i, f := range m.fillers {
		if len(f.Reserve) > 0 || all[i] >= f.Maximum {
			continue
		}
		more := slices.Clone(sizes)
		more[i]++
		require.False(m.t, possible(c, more), "%v leaves room for filler %d", all, i)
		for k, other := range m.fillers {
			if all[k] <= other.Minimum || (all[i]+1)*other.Weight >= all[k]*f.Weight {
				continue
			}
			less := slices.Clone(more)
			less[k]--
			require.False(m.t, possible(c, less), "%v takes from filler %d for %d", all, i, k)
		}
	}
}

// FuzzWorld simulates random clusters. Each number is one of them.
func FuzzWorld(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(playWorld)
}

// playWorld plays one random cluster.
func playWorld(t *testing.T, seed uint64) {
	t.Helper()
	m := newMixed(t, seed)
	m.run(6 * m.period)
	for range 4 {
		m.serve()
		m.run(2 * m.period)
	}
	m.rest()
	m.events, m.changes, m.seen = 0, 0, 0
	for range 6 {
		m.disturb()
		m.run(m.random.IntN(3 * m.period))
	}
	m.rest()
	require.LessOrEqual(t, m.changes, m.events*len(m.fillers))
}
