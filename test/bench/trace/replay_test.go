package trace

import (
	"cmp"
	"flag"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	// tick is the period of an HPA, in seconds.
	tick = 15.0
	// startDelay is how long a new node and its pod take.
	startDelay = 60.0
	// idleTicks is how long demand must stay low before nodes are removed: 5 minutes, as an HPA does.
	idleTicks = 20
)

// order is how a scheduler sorts the ranks that could run a job.
type order int

const (
	lowest   order = iota // by rank
	emptiest              // by free cores, then by rank: sched-simple
)

func (o order) String() string { return [...]string{"lowest rank", "emptiest rank"}[o] }

// rank is a node of the cluster.
type rank struct {
	exists bool
	// ready is when it runs jobs.
	ready float64
	free  int
	// needed is the last tick at which something ran there, or was planned to.
	needed int
}

// replay is a cluster that runs a trace.
type replay struct {
	fromTop bool
	order   order
	cores   int // of a node
	ranks   []rank
	queue   []job
	running []allocation
	tick    int
	// nodeSeconds sums up the nodes that exist, waited what jobs waited.
	nodeSeconds, waited float64
}

type allocation struct {
	ends  float64
	cores map[int]int
}

func (r *replay) now() float64 { return float64(r.tick) * tick }

// run replays jobs until all have ended.
func (r *replay) run(jobs []job) {
	for next := 0; next < len(jobs) || len(r.queue) > 0 || len(r.running) > 0; r.tick++ {
		r.running = slices.DeleteFunc(r.running, func(a allocation) bool {
			if a.ends > r.now() {
				return false
			}
			for i, n := range a.cores {
				r.ranks[i].free += n
			}
			return true
		})
		for ; next < len(jobs) && jobs[next].arrives <= r.now(); next++ {
			r.queue = append(r.queue, jobs[next])
		}
		for len(r.queue) > 0 && r.start(r.queue[0]) { // the first job blocks the others
			r.queue = r.queue[1:]
		}
		r.resize()
	}
}

// start starts a job if there is room for it.
func (r *replay) start(j job) bool {
	var fit []int
	room := 0
	for i := range r.ranks {
		if n := &r.ranks[i]; n.exists && n.ready <= r.now() && n.free > 0 {
			fit = append(fit, i)
			room += n.free
		}
	}
	if room < j.size {
		return false
	}
	if r.order == emptiest {
		slices.SortStableFunc(fit, func(a, b int) int { return cmp.Compare(r.ranks[b].free, r.ranks[a].free) })
	}
	a := allocation{ends: r.now() + j.runs, cores: map[int]int{}}
	left := j.size
	for _, i := range fit {
		n := min(left, r.ranks[i].free)
		if n == 0 {
			break
		}
		r.ranks[i].free -= n
		a.cores[i] = n
		left -= n
	}
	r.running = append(r.running, a)
	r.waited += r.now() - j.arrives
	return true
}

// resize makes the nodes that are needed, and removes others that were not needed for a while. As size_demanded, it
// plans pending jobs on the room of busy nodes, and then on other nodes: on the lowest ones if nodes are removed from
// the top, otherwise on existing ones first.
func (r *replay) resize() {
	pending := 0
	for _, j := range r.queue {
		pending += j.size
	}
	r.need(0) // the lead
	var idle []int
	for i := range r.ranks {
		switch n := &r.ranks[i]; {
		case n.free < r.cores:
			pending -= n.free
			r.need(i)
		default:
			idle = append(idle, i)
		}
	}
	if !r.fromTop {
		slices.SortStableFunc(idle, func(a, b int) int { return cmp.Compare(missing(r.ranks[a]), missing(r.ranks[b])) })
	}
	for _, i := range idle {
		if pending > 0 {
			r.need(i)
			pending -= r.cores
		}
	}
	keep := false
	for i := len(r.ranks) - 1; i >= 0; i-- {
		n := &r.ranks[i]
		needed := n.needed > 0 && r.tick-n.needed < idleTicks
		keep = r.fromTop && keep || needed
		switch {
		case keep && !n.exists:
			n.exists, n.ready = true, r.now()+startDelay
		case !keep:
			n.exists = false
		}
		if n.exists {
			r.nodeSeconds += tick
		}
	}
}

func (r *replay) need(i int) { r.ranks[i].needed = r.tick + 1 }

func missing(n rank) int {
	if n.exists {
		return 0
	}
	return 1
}

// seeds is the number of traces. docs/nodes.md has the sums of three: go test -v ./test/bench/trace -seeds 3.
var seeds = flag.Uint64("seeds", 1, "number of traces")

// maxRatio is the largest ratio of node-hours, plus what one trace may deviate.
const maxRatio = 1.3

// TestRemovalFromTheTop reports how many node-hours it costs that only the highest ranks can be removed, compared with
// the removal of any idle rank.
func TestRemovalFromTheTop(t *testing.T) {
	for _, cores := range []int{1, 8} {
		for _, load := range []float64{0.1, 0.3, 0.5} {
			for _, o := range []order{lowest, emptiest} {
				top, waitedTop := replayAll(load, cores, o, true)
				other, waitedOther := replayAll(load, cores, o, false)
				t.Logf("%d cores a node, load %.0f %%, %s first: from the top %.0f h (jobs wait %.0f s), any %.0f h (%.0f s), ratio %.2f",
					cores, 100*load, o, top, waitedTop, other, waitedOther, top/other)
				assert.InDelta(t, 1+(maxRatio-1)/2, top/other, (maxRatio-1)/2)
			}
		}
	}
}

// replayAll returns the node-hours of all traces, and how long jobs wait on average, in seconds.
func replayAll(load float64, cores int, o order, fromTop bool) (hours, waited float64) {
	const days = 14
	jobs := 0
	for seed := range *seeds {
		trace := generate(seed, days, load)
		r := replay{fromTop: fromTop, order: o, cores: cores, ranks: make([]rank, maxSize/cores)}
		for i := range r.ranks {
			r.ranks[i].free = cores
		}
		r.run(trace)
		hours += r.nodeSeconds / 3600
		waited += r.waited
		jobs += len(trace)
	}
	return hours, waited / float64(jobs)
}
