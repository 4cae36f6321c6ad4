package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"
)

// tolerance is the allowed relative deviation of the fill level from its target while the load is constant.
const tolerance = 0.02

// verdict is the result of a half.
type verdict struct {
	// loads and sizes are the numbers of changes of the load, including its start, and of the size.
	loads, sizes int
	// seen is the number of observable changes of the load: its pods do not start and stop at the same time, and an
	// autoscaler may act in between.
	seen int
	// smallest and largest size after the size first reached what fits.
	smallest, largest int
	// low and high are the bounds of the fill level while the load is constant. Of these rests seconds, settled are
	// within the tolerance.
	low, high      float64
	rests, settled int
	// distance is the average distance from the target since the first change of the size.
	distance float64
	// waited is the longest continuous time in which paying pods were pending, starved the total in core seconds.
	waited  time.Duration
	starved int
}

// judge evaluates both halves.
func judge(samples []sample) [halves]verdict {
	var all [halves]verdict
	for i := range halves {
		all[i] = judgeHalf(samples, func(s *sample) *facts { return &s.halves[i] })
	}
	return all
}

func judgeHalf(samples []sample, of func(*sample) *facts) verdict {
	v := verdict{loads: 1, seen: 1, low: 1, smallest: math.MaxInt}
	began, changed, since, grown := -1, 0, 0, false
	for i := range samples {
		s, f := &samples[i], of(&samples[i])
		if i > 0 {
			if s.paying != samples[i-1].paying {
				v.loads++
				changed = s.second
			}
			if f.paying != of(&samples[i-1]).paying {
				v.seen++
			}
			if f.size != of(&samples[i-1]).size {
				v.sizes++
				if began < 0 {
					began = i
				}
			}
		}
		if grown = grown || f.size >= fits(s.paying); grown {
			v.smallest, v.largest = min(v.smallest, f.size), max(v.largest, f.size)
		}
		if began >= 0 {
			v.distance += math.Abs(f.fill() - target)
		}
		if s.second-changed >= int(settling/time.Second) {
			v.rests++
			v.low, v.high = min(v.low, f.fill()), max(v.high, f.fill())
			if math.Abs(f.fill()-target) <= tolerance*target {
				v.settled++
			}
		}
		v.starved += f.waiting
		if f.waiting == 0 {
			since = s.second
		}
		v.waited = max(v.waited, time.Duration(s.second-since)*time.Second)
	}
	v.distance /= float64(max(1, len(samples)-began))
	return v
}

// err returns an error for each requirement that is not met.
func (v verdict) err() error {
	var errs []error
	if v.sizes > v.seen {
		errs = append(errs, fmt.Errorf("the size changed %d times, the load %d times", v.sizes, v.seen))
	}
	if v.settled < v.rests {
		errs = append(errs, fmt.Errorf("in %d of %d s the fill level is not within %.0f%% of %.1f%%, but %.1f%% to %.1f%%",
			v.rests-v.settled, v.rests, 100*tolerance, 100*target, 100*v.low, 100*v.high))
	}
	return errors.Join(errs...)
}

// report prints both results side by side.
func report(out io.Writer, verdicts [halves]verdict) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what string, of func(verdict) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", what, of(verdicts[value]), of(verdicts[average]))
	}
	fmt.Fprintf(w, "\tthe tutorial's\tours\n")
	row("changes of the load", func(v verdict) string { return fmt.Sprint(v.loads) })
	row("changes of the size", func(v verdict) string { return fmt.Sprint(v.sizes) })
	row("sizes after the start", func(v verdict) string { return fmt.Sprintf("%d to %d", v.smallest, v.largest) })
	row(fmt.Sprintf("fill level (target %.1f%%) while the load is constant", 100*target), func(v verdict) string {
		return fmt.Sprintf("%.1f%% to %.1f%%", 100*v.low, 100*v.high)
	})
	row(fmt.Sprintf("of that time within %.0f%% of the target", 100*tolerance), func(v verdict) string {
		return fmt.Sprintf("%d of %d s", v.settled, v.rests)
	})
	row("average distance from the target", func(v verdict) string { return fmt.Sprintf("%.1f points", 100*v.distance) })
	row("longest time that paying pods were pending", func(v verdict) string { return v.waited.String() })
	row("core seconds that paying pods were pending", func(v verdict) string { return fmt.Sprint(v.starved) })
	_ = w.Flush()
}
