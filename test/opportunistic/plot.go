package main

import (
	"fmt"

	"minicluster.internal/operator/test/framework/stepplot"
)

// plot returns the drawing of a run.
func plot(samples []sample) *stepplot.Plot {
	verdicts := judge(samples)
	p := &stepplot.Plot{
		Title: "Two autoscalers fill what the same load leaves",
		Description: fmt.Sprintf("The load changes %d times. The size that the tutorial's autoscaler gives changes %d times, between %d and %d. The MiniCluster's changes %d times, and is what fits soon after each change of the load.",
			verdicts[average].loads, verdicts[value].sizes, verdicts[value].smallest, verdicts[value].largest, verdicts[average].sizes),
		Lines: []stepplot.Line{
			{Class: "fits", Style: "stroke: #7d8894; stroke-dasharray: 4 4; stroke-width: 1.2;", Legend: fmt.Sprintf("what fits; %.1f%% in use", 100*target), LegendAt: 620},
			{Class: half(value), Style: "stroke: #d97706;", Legend: "the tutorial's: a Value of 30 on what is free"},
			{Class: half(average), Style: "stroke: #2f7fe0; stroke-width: 2.2;", Legend: "MiniCluster: an AverageValue of 1 on size_fitting", LegendAt: 310},
			{Class: "load", Style: "stroke: #7d8894;"},
		},
	}
	for _, s := range samples {
		p.Seconds = append(p.Seconds, s.second)
	}
	each := func(of func(sample) float64) (values []float64) {
		for _, s := range samples {
			values = append(values, of(s))
		}
		return values
	}
	both := func(of func(facts) float64) map[string][]float64 {
		return map[string][]float64{
			half(value):   each(func(s sample) float64 { return of(s.halves[value]) }),
			half(average): each(func(s sample) float64 { return of(s.halves[average]) }),
		}
	}
	sizes := both(func(f facts) float64 { return float64(f.size) })
	sizes["fits"] = each(func(s sample) float64 { return float64(fits(s.paying)) })
	fill := both(func(f facts) float64 { return 100 * f.fill() })
	fill["fits"] = each(func(sample) float64 { return 100 * target })
	load := map[string][]float64{"load": each(func(s sample) float64 { return float64(s.paying) })}
	p.Panels = []stepplot.Panel{
		{Title: "Cores that the paying load wants", Height: 70, Max: 80, Every: 40, Values: load},
		{Title: "Size of what fills the rest", Height: 190, Max: 150, Every: 50, Values: sizes},
		{Title: "Cores in use", Height: 130, Min: 20, Max: 100, Every: 20, Unit: "%", Values: fill},
		{Title: "Cores for which paying pods wait", Height: 90, Max: 80, Every: 40, Values: both(func(f facts) float64 { return float64(f.waiting) })},
	}
	return p
}
