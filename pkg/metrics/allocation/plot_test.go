package allocation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/golden"
	"minicluster.internal/operator/test/framework/stepplot"
)

// play is a run of three fillers with its samples.
type play struct {
	*world
	t     *testing.T
	plot  *stepplot.Plot
	lines map[string][]float64
}

// TestThreeFillers simulates three fillers that start one after the other beside a paying load, a cordoned node, and
// the end of one of them. In each phase, the sizes change straight to the shares, and each filler changes once for each
// change of the load, and once more when the load is bound. docs/opportunistic.md shows the plot.
func TestThreeFillers(t *testing.T) {
	p := &play{world: newWorld(3), t: t, lines: map[string][]float64{}, plot: &stepplot.Plot{
		Title: "Three opportunistic MiniClusters share what a paying load leaves (simulated)",
		Description: "Each of three opportunistic MiniClusters gets its share when it starts. All shrink when paying pods start, " +
			"and grow when these end. A cordoned node changes nothing. When one ends, the others get its share.",
		Lines: []stepplot.Line{
			{Class: "a", Style: "stroke: #d97706;", Legend: "a, weight 1"},
			{Class: "b", Style: "stroke: #2f7fe0; stroke-dasharray: 8 4;", Legend: "b, weight 1", LegendAt: 200},
			{Class: "c", Style: "stroke: #16a34a;", Legend: "c, weight 2", LegendAt: 400},
			{Class: "load", Style: "stroke: #7d8894;"},
		},
	}}
	const total, paying, each = 184, 16, 4
	for _, cpu := range []int64{32, 32, 32, 32, 32, 24} {
		p.nodes = append(p.nodes, &simNode{has: Vector{cpu}})
	}
	start := func(weight int64) {
		f := filler(len(p.nodes), 1)
		f.Weight = weight
		p.addFiller(f)
	}
	p.phase("one", 60, 1, func() { start(1) }, total)
	p.phase("two", 60, 1, func() { start(1) }, total/2, total/2)
	p.phase("three, one with the double weight", 90, 1, func() { start(2) }, total/4, total/4, total/2)
	const left = total - paying*each
	p.phase("paying pods", 90, 2, func() {
		for range paying {
			p.addPaying(each)
		}
	}, left/4, left/4, left/2)
	p.phase("their end", 90, 1, func() {
		for _, pod := range p.paying() {
			p.remove(pod)
		}
	}, total/4, total/4, total/2)
	p.phase("a cordoned node", 60, 0, func() { p.nodes[5].cordoned = true }, total/4, total/4, total/2)
	p.phase("its return", 60, 0, func() { p.nodes[5].cordoned = false }, total/4, total/4, total/2)
	p.phase("the end of one", 90, 1, func() { p.fillers[2].Size, p.fillers[2].Minimum, p.fillers[2].Maximum = 0, 0, 0 }, total/2, total/2, 0)
	p.draw()
}

// phase changes something, runs for some seconds, and checks the sizes at the end and that none has changed more often
// than a number of times.
func (p *play) phase(name string, seconds, most int, change func(), want ...int64) {
	p.t.Helper()
	change()
	changes, last := make([]int, len(p.fillers)), make([]int64, len(p.fillers))
	for i, f := range p.fillers {
		last[i] = f.Size
	}
	for range seconds {
		p.step()
		p.sample()
		for i, f := range p.fillers {
			if f.Size != last[i] {
				changes[i]++
			}
			last[i] = f.Size
		}
	}
	assert.Equal(p.t, want, last, name)
	for i, n := range changes {
		assert.LessOrEqual(p.t, n, most, "%s: changes of %d", name, i)
	}
}

func (p *play) sample() {
	p.plot.Seconds = append(p.plot.Seconds, p.now)
	var wanted, waiting, used int64
	for _, pod := range p.pods {
		switch {
		case pod.node >= 0:
			used += pod.needs[0].Amount
		case pod.filler < 0:
			waiting += pod.needs[0].Amount
		}
		if pod.filler < 0 {
			wanted += pod.needs[0].Amount
		}
	}
	values := map[string]float64{"load": float64(wanted), "waiting": float64(waiting), "used": 100 * float64(used) / 184}
	for i, name := range []string{"a", "b", "c"} {
		values[name] = 0
		if i < len(p.fillers) {
			values[name] = float64(p.fillers[i].Size)
		}
	}
	for name, n := range values {
		p.lines[name] = append(p.lines[name], n)
	}
}

// draw compares the plot with that in the documentation.
func (p *play) draw() {
	p.t.Helper()
	p.plot.Panels = []stepplot.Panel{
		{Title: "Cores that the paying load wants", Height: 70, Max: 80, Every: 40, Values: map[string][]float64{"load": p.lines["load"]}},
		{Title: "Sizes of the MiniClusters", Height: 190, Max: 200, Every: 50, Values: map[string][]float64{
			"a": p.lines["a"], "b": p.lines["b"], "c": p.lines["c"],
		}},
		{Title: "Cores in use", Height: 130, Min: 20, Max: 100, Every: 20, Unit: "%", Values: map[string][]float64{"load": p.lines["used"]}},
		{Title: "Cores for which paying pods wait", Height: 90, Max: 80, Every: 40, Values: map[string][]float64{"load": p.lines["waiting"]}},
	}
	drawn, err := p.plot.Render()
	require.NoError(p.t, err)
	golden.Check(p.t, "../../../../docs/images/shares.svg", drawn)
}
