package page

import (
	"math"
	"strings"
	"time"
)

// value returns the value of a series at a time, or NaN if it is unknown.
func (s *series) value(at int64) float64 {
	value := math.NaN()
	for _, m := range s.points {
		if m.at > at {
			break
		}
		value = m.value
	}
	return value
}

// sampleCount is the number of values of a line that the script can show.
const sampleCount = 120

// samples returns the values at evenly spaced times, separated by commas; the same value as before is omitted.
func samples(over span, l series, u scale) string {
	var text strings.Builder
	before, next, value := "", 0, math.NaN()
	for n := range sampleCount + 1 {
		at := over.from.UnixMilli() + int64(n)*(over.to.UnixMilli()-over.from.UnixMilli())/sampleCount
		for ; next < len(l.points) && l.points[next].at <= at; next++ {
			value = l.points[next].value
		}
		now := noNumber
		if !math.IsNaN(value) {
			now = u.text(value)
		}
		if n > 0 {
			text.WriteByte(',')
		}
		if now != before {
			text.WriteString(now)
		}
		before = now
	}
	return text.String()
}

// table adds a table of the values at evenly spaced times, the latest first.
func (c *chart) table(over span, lines []series, u scale) {
	for _, l := range lines {
		c.Head = append(c.Head, l.Label)
	}
	every := over.to.Sub(over.from) / maxRows
	for n := range maxRows {
		at := over.last.Add(-time.Duration(n) * every)
		r := tableRow{Time: momentOf(at, "15:04:05")}
		known := false
		for _, l := range lines {
			text := noNumber
			if v := l.value(at.UnixMilli()); !math.IsNaN(v) {
				text, known = u.text(v), true
			}
			r.Cells = append(r.Cells, text)
		}
		if known {
			c.Rows = append(c.Rows, r)
		}
	}
}

// summary returns the range of each line in words.
func summary(over span, lines []series, u scale, unit string) string {
	var parts []string
	for _, l := range lines {
		low, high := math.Inf(1), math.Inf(-1)
		for i, m := range l.points {
			if math.IsNaN(m.value) || i+1 < len(l.points) && l.points[i+1].at <= over.from.UnixMilli() {
				continue
			}
			low, high = math.Min(low, m.value), math.Max(high, m.value)
		}
		switch {
		case low > high:
			parts = append(parts, l.Label+" unknown")
		case low == high:
			parts = append(parts, l.Label+" "+u.text(low)+" constantly")
		default:
			parts = append(parts, l.Label+" between "+u.text(low)+" and "+u.text(high))
		}
	}
	return "From " + clock(over.from) + " to " + clock(over.last) + " UTC, in " + unit + ": " + strings.Join(parts, "; ") + "."
}

// spark returns the SVG path of a line without axes.
func spark(over span, line series) string {
	_, high := bounds(over, []series{line})
	high = math.Max(high, 1)
	return outline(over, thin(over, line.points), func(v float64) float64 { return plotBottom - (plotBottom-plotTop)*v/high }, math.NaN())
}

// sparkGrain is the resolution of the small picture.
const sparkGrain = 3

// thin omits points that are too close to the next one to be visible.
func thin(over span, points []point) []point {
	kept := make([]point, 0, len(points))
	grain := func(m point) float64 { return math.Floor(over.x(m.at) / sparkGrain) }
	for i, m := range points {
		if i+1 == len(points) || grain(m) != grain(points[i+1]) {
			kept = append(kept, m)
		}
	}
	return kept
}
