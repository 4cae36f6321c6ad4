package allocation

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// cores returns the needs of a pod that requests CPU only.
func cores(n int64) Needs { return Needs{{Index: 0, Amount: n}} }

// all returns the set of all nodes of a number.
func all(n int) Bitset {
	set := NewBitset(n)
	for i := range n {
		set.Set(i)
	}
	return set
}

// only returns a set of some nodes.
func only(size int, nodes ...int) Bitset {
	set := NewBitset(size)
	for _, i := range nodes {
		set.Set(i)
	}
	return set
}

// emptyNodes returns nodes with some cores and nothing else.
func emptyNodes(cpus ...int64) []Node {
	var nodes []Node
	for _, cpu := range cpus {
		nodes = append(nodes, Node{Allocatable: Vector{cpu}, Free: Vector{cpu}})
	}
	return nodes
}

// filler returns a filler on all of some nodes.
func filler(nodes int, cpu int64) Filler {
	return Filler{Weight: 1, Minimum: 1, Maximum: 1000, Size: 1000, Needs: cores(cpu), Feasible: all(nodes)}
}

// bind adds a rank on each of some nodes.
func bind(c *Cluster, f int, nodes ...int) {
	filler := &c.Fillers[f]
	for _, node := range nodes {
		filler.Ranks = append(filler.Ranks, Rank{Index: int64(len(filler.Ranks)), Node: node, Holds: Vector{filler.Needs[0].Amount}})
		if node != Nowhere {
			c.Nodes[node].Free.Minus(filler.Needs, 1)
		}
	}
	filler.Size = int64(len(filler.Ranks))
}

func pods(nodes int, count, cpu int64) Pods {
	return Pods{Count: count, Needs: cores(cpu), Feasible: all(nodes), Nominated: Nowhere, Rejected: true}
}

func TestAllocate(t *testing.T) {
	for name, test := range map[string]struct {
		cluster func() *Cluster
		sizes   []int64
		waiting []Outcome
	}{
		"one filler takes whole pods on each node": {
			cluster: func() *Cluster { return &Cluster{Nodes: emptyNodes(7, 7, 7), Fillers: []Filler{filler(3, 4)}} },
			sizes:   []int64{3},
		},
		"two fillers share": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8, 8), Fillers: []Filler{filler(2, 1), filler(2, 1)}}
				bind(c, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1)
				return c
			},
			sizes: []int64{8, 8},
		},
		"by weight": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8, 8), Fillers: []Filler{filler(2, 1), filler(2, 1)}}
				c.Fillers[1].Weight = 3
				return c
			},
			sizes: []int64{4, 12},
		},
		"what one cannot use goes to the other": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8, 8), Fillers: []Filler{filler(2, 1), filler(2, 1)}}
				c.Fillers[0].Maximum = 3
				return c
			},
			sizes: []int64{3, 13},
		},
		"a filler that may use one node only finds room there": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8, 8), Fillers: []Filler{filler(2, 1), filler(2, 1)}}
				c.Fillers[0].Minimum, c.Fillers[1].Feasible = 0, only(2, 0)
				return c
			},
			sizes: []int64{8, 8},
		},
		"minimum of one, although others have less": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8), Fillers: []Filler{filler(1, 1), filler(1, 1)}}
				c.Fillers[0].Minimum = 6
				bind(c, 0, 0, 0, 0, 0, 0, 0)
				return c
			},
			sizes: []int64{6, 2},
		},
		"a reserve": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(16), Fillers: []Filler{filler(1, 1), filler(1, 1)}}
				for i := range c.Fillers {
					c.Fillers[i].Reserve = Needs{{Index: 0, Amount: 6}}
					c.Fillers[i].Minimum = 0
				}
				return c
			},
			sizes: []int64{5, 5},
		},
		"a paying pod in a fragmented cluster": {
			// Eight of 32 cores are free, two on each node. The pod needs four on one.
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8, 8, 8, 8), Fillers: []Filler{filler(4, 1)}}
				bind(c, 0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3)
				c.Waiting = []Pods{pods(4, 1, 4)}
				return c
			},
			sizes:   []int64{19}, // ranks 19 and 23 run on the last node
			waiting: []Outcome{{Shrink: 1}},
		},
		"two fillers on a node hide a paying pod from each other": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8), Fillers: []Filler{filler(1, 1), filler(1, 1)}}
				bind(c, 0, 0, 0, 0, 0)
				bind(c, 1, 0, 0, 0, 0)
				c.Waiting = []Pods{pods(1, 1, 6)}
				return c
			},
			sizes:   []int64{1, 1},
			waiting: []Outcome{{Shrink: 1}},
		},
		"a pod that fits nowhere takes nothing": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8), Fillers: []Filler{filler(1, 1)}}
				bind(c, 0, 0, 0, 0, 0, 0, 0)
				c.Waiting = []Pods{pods(1, 1, 8)}
				return c
			},
			sizes:   []int64{8},
			waiting: []Outcome{{Nowhere: 1}},
		},
		"a pod of a lower priority takes nothing": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8), Fillers: []Filler{filler(1, 1)}}
				bind(c, 0, 0, 0, 0, 0, 0, 0)
				c.Waiting = []Pods{pods(1, 1, 4)}
				c.Waiting[0].Priority = -1
				return c
			},
			sizes:   []int64{8},
			waiting: []Outcome{{Nowhere: 1}},
		},
		"ranks that leave anyway make room": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8), Fillers: []Filler{filler(1, 1)}}
				bind(c, 0, 0, 0, 0, 0, 0, 0, 0, 0)
				c.Fillers[0].Size = 4
				c.Waiting = []Pods{pods(1, 1, 4)}
				return c
			},
			sizes:   []int64{4},
			waiting: []Outcome{{Shrink: 1}},
		},
		"no growth while a rejected pod waits, although there is room": {
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(8, 8), Fillers: []Filler{filler(2, 1)}}
				bind(c, 0, 0, 0)
				c.Waiting = []Pods{pods(2, 1, 4)}
				return c
			},
			sizes:   []int64{2},
			waiting: []Outcome{{Fit: 1}},
		},
		"ranks on a cordoned node count as they are": {
			// Ranks 1 and 3 run elsewhere; four fit on the node that is left.
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(4), Fillers: []Filler{filler(1, 1)}}
				bind(c, 0, 0, Nowhere, 0, Nowhere, 0, 0)
				return c
			},
			sizes: []int64{6},
		},
		"with a cordoned node, one step suffices": {
			// Two of the ranks below six run elsewhere. With one core less, rank 5 goes.
			cluster: func() *Cluster {
				c := &Cluster{Nodes: emptyNodes(4), Fillers: []Filler{filler(1, 1)}}
				bind(c, 0, 0, Nowhere, 0, Nowhere, 0, 0)
				c.Waiting = []Pods{pods(1, 1, 1)}
				return c
			},
			sizes:   []int64{5},
			waiting: []Outcome{{Shrink: 1}},
		},
		"no nodes": {
			cluster: func() *Cluster {
				return &Cluster{Fillers: []Filler{filler(0, 1)}, Waiting: []Pods{pods(0, 2, 1)}}
			},
			sizes: []int64{1}, waiting: []Outcome{{Nowhere: 2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			result := Allocate(test.cluster())
			assert.Equal(t, test.sizes, result.Sizes)
			if test.waiting != nil {
				assert.Equal(t, test.waiting, result.Waiting)
			}
		})
	}
}

// largeCluster has 5,000 nodes with 100,000 pods, half of them of 500 fillers on five overlapping sets of nodes, and
// 5,000 pending pods in 50 shapes; or a fraction of the nodes and fillers.
func largeCluster(fraction int) *Cluster {
	const perFiller = 100
	nodes, fillers := 5000/fraction, 500/fraction
	c := &Cluster{Nodes: make([]Node, nodes)}
	for i := range c.Nodes {
		c.Nodes[i] = Node{Allocatable: Vector{16000, 64 << 30, 110}, Free: Vector{11000, 54 << 30, 100}}
	}
	var sets []Bitset
	for k := range 5 {
		set := NewBitset(nodes)
		for i := range nodes {
			if k == 0 || i%5 <= k {
				set.Set(i)
			}
		}
		sets = append(sets, set)
	}
	for i := range fillers {
		needs := Needs{{0, int64(500 * (1 + i%4))}, {1, 1 << 30}, {2, 1}}
		holds := Vector{needs[0].Amount, needs[1].Amount, 1}
		f := Filler{Weight: int64(1 + i%3), Minimum: 1, Maximum: 1000, Size: perFiller, Needs: needs, Feasible: sets[i%5], Reserve: Needs{{0, 30_000}}}
		for r := range perFiller {
			node := (i*perFiller + r*37) % nodes
			f.Ranks = append(f.Ranks, Rank{Index: int64(r), Node: node, Holds: holds})
			c.Nodes[node].Free.Minus(needs, 1)
		}
		c.Fillers = append(c.Fillers, f)
	}
	for i := range 50 {
		c.Waiting = append(c.Waiting, Pods{
			Count: 100, Needs: Needs{{0, int64(1000 * (1 + i%14))}, {1, 1 << 30}, {2, 1}}, Feasible: sets[i%5], Nominated: Nowhere, Rejected: i%2 == 0,
		})
	}
	return c
}

// TestTimeGrowsWithTheCluster compares a cluster with one of a tenth of its size, in turns. A quadratic algorithm would
// take a hundred times as long.
func TestTimeGrowsWithTheCluster(t *testing.T) {
	clusters := []*Cluster{largeCluster(10), largeCluster(1)}
	best := []time.Duration{math.MaxInt64, math.MaxInt64}
	ratio := math.Inf(1)
	const limit = 60
	for tries := 0; ratio >= limit && tries < 20; tries++ { // the machine may be busy
		for i, c := range clusters {
			begin := time.Now()
			Allocate(c)
			best[i] = min(best[i], time.Since(begin))
		}
		ratio = float64(best[1]) / float64(best[0])
	}
	t.Logf("%v", best)
	assert.Less(t, ratio, float64(limit))
}

func BenchmarkAllocate(b *testing.B) {
	c := largeCluster(1)
	for b.Loop() {
		Allocate(c)
	}
}

func ExampleAllocate() {
	c := &Cluster{Nodes: emptyNodes(8, 8), Fillers: []Filler{filler(2, 1), filler(2, 1)}}
	c.Fillers[1].Weight = 3
	fmt.Println(Allocate(c).Sizes)
	// Output: [4 12]
}

// TestStoppingRankElsewhere: a rank on a cordoned node counts as it is, unless it is being deleted, because the pod
// that replaces it needs room on another node.
func TestStoppingRankElsewhere(t *testing.T) {
	c := &Cluster{Nodes: emptyNodes(2), Fillers: []Filler{filler(1, 1)}}
	bind(c, 0, 0, 0, Nowhere)
	assert.Equal(t, []int64{3}, Allocate(c).Sizes)
	c.Fillers[0].Ranks[2].Stopping = true
	assert.Equal(t, []int64{2}, Allocate(c).Sizes)
}
