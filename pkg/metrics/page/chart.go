package page

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Geometry of a chart, in units of its SVG view box.
const (
	chartWidth, chartHeight = 440, 190
	plotLeft, plotRight     = 46, 432
	plotTop, plotBottom     = 10, 166
)

// minSpan is the shortest time range of a chart.
const minSpan = 5 * time.Minute

// maxRows is the number of rows of the table of a chart.
const maxRows = 12

// point is the value of a series from a time on; NaN if it is unknown.
type point struct {
	at    int64
	value float64
}

// series is a line in a chart.
type series struct {
	// Class is the CSS class of the line.
	Class string
	Label string
	// Now is the current value.
	Now number
	// area fills the area below the line.
	area bool
	// over marks a line that may be far above the others and is cut off at the upper edge.
	over   bool
	points []point
}

// add appends the value from a time on.
func (s *series) add(at int64, value float64) {
	if n := len(s.points); n > 0 && (s.points[n-1].value == value || math.IsNaN(s.points[n-1].value) && math.IsNaN(value)) {
		return
	}
	s.points = append(s.points, point{at: at, value: value})
}

// chart is a chart of the last hour with its legend and its table.
type chart struct {
	ID, Title, Unit string
	Legend          []series
	X, Y            []tick
	Paths           []path
	Head            []string
	Rows            []tableRow
	// From and To are the ends of the time axis, in milliseconds of Unix time.
	From, To int64
	// Summary describes the chart in words.
	Summary string
}

type tick struct {
	At   float64
	Text string
	// Time is the time of a label of the time axis.
	Time string
}

// path is a line or an area. A line has its label, and its values at evenly spaced times for the script.
type path struct{ Class, D, Label, Values string }

type tableRow struct {
	Time  moment
	Cells []string
}

// span is the time range of charts: the last hour, or less if the history is shorter. It advances in
// steps, so that a chart of constant values does not change with every record.
type span struct {
	from, to time.Time
	// last is the end of the last complete step.
	last time.Time
}

// chartSteps and sparkSteps are the numbers of steps in the width of a picture. A step is about a pixel.
const (
	chartSteps = 360
	sparkSteps = 120
)

// spanOf returns the current time range, which has at most some length. It ends at most one step after now.
func spanOf(began, now time.Time, length time.Duration, steps int64) span {
	for _, shorter := range []time.Duration{45 * time.Minute, 30 * time.Minute, 20 * time.Minute, 15 * time.Minute, 10 * time.Minute, minSpan} {
		if now.Sub(began) <= shorter && shorter < length {
			length = shorter
		}
	}
	step := max((length / time.Duration(steps)).Truncate(time.Second), time.Second)
	s := span{to: now.Truncate(step), last: now.Truncate(step)}
	if s.to.Before(now) {
		s.to = s.to.Add(step)
	}
	s.from = s.to.Add(-length)
	return s
}

func (s span) x(at int64) float64 {
	part := float64(at-s.from.UnixMilli()) / float64(s.to.UnixMilli()-s.from.UnixMilli())
	return plotLeft + (plotRight-plotLeft)*min(max(part, 0), 1)
}

// ticks returns the labels of the time axis, which are at full minutes.
func (s span) ticks() []tick {
	var every time.Duration
	for _, every = range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute} {
		if s.to.Sub(s.from) <= 6*every {
			break
		}
	}
	var ticks []tick
	for at := s.from.Truncate(every); !at.After(s.to); at = at.Add(every) {
		// Omit a label that would be cut off.
		if x := s.x(at.UnixMilli()); !at.Before(s.from) && x <= plotRight-10 {
			ticks = append(ticks, tick{At: round(x), Text: clock(at), Time: at.UTC().Format(time.RFC3339)})
		}
	}
	return ticks
}

// clock returns the time of day without seconds.
func clock(at time.Time) string { return at.UTC().Format("15:04") }

// newChart returns a chart of lines. It shows bytes in a larger unit.
func newChart(id, title, unit string, over span, lines []series) chart {
	low, high := bounds(over, lines)
	u := scale{size: 1, digits: 2}
	if unit == unitBytes {
		u = unitOf(high)
		unit = u.name
		for i := range lines {
			lines[i].Now.Text = u.text(lines[i].Now.float())
		}
	}
	every := roundUp((high - low) / u.size / 4)
	if unit != unitCores && u.size == 1 {
		every = math.Max(1, math.Ceil(every)) // these are integers
	}
	bottom, top := math.Floor(low/u.size/every)*every, math.Ceil(high/u.size/every)*every
	if top <= bottom {
		top = bottom + every
	}
	y := func(v float64) float64 {
		return round(max(plotTop, plotBottom-(plotBottom-plotTop)*(v/u.size-bottom)/(top-bottom)))
	}
	c := chart{ID: id, Title: title, Unit: unit, Legend: lines, X: over.ticks(), From: over.from.UnixMilli(), To: over.to.UnixMilli()}
	for n := 0; bottom+float64(n)*every <= top+every/2; n++ {
		v := bottom + float64(n)*every
		c.Y = append(c.Y, tick{At: y(v * u.size), Text: decimal(v, 3)})
	}
	for _, l := range lines {
		if l.area {
			if d := outline(over, l.points, y, y(math.Max(bottom, 0)*u.size)); d != "" {
				c.Paths = append(c.Paths, path{Class: "area " + l.Class, D: d})
			}
		}
	}
	for _, l := range lines {
		if d := outline(over, l.points, y, math.NaN()); d != "" {
			c.Paths = append(c.Paths, path{Class: "line " + l.Class, D: d, Label: l.Label, Values: samples(over, l, u)})
		}
	}
	c.table(over, lines, u)
	c.Summary = summary(over, lines, u, unit)
	return c
}

// bounds returns the smallest value, at most 0, and the largest value in a time range.
func bounds(over span, lines []series) (low, high float64) {
	for _, l := range lines {
		if l.over {
			continue
		}
		for i, m := range l.points {
			if math.IsNaN(m.value) || i+1 < len(l.points) && l.points[i+1].at <= over.from.UnixMilli() {
				continue
			}
			low, high = math.Min(low, m.value), math.Max(high, m.value)
		}
	}
	return low, high
}

// roundUp returns the next larger number of the form 1, 2 or 5 times a power of 10.
func roundUp(x float64) float64 {
	if x <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, n := range []float64{1, 2, 5} {
		if x <= n*p*(1+1e-9) {
			return n * p
		}
	}
	return 10 * p
}

// outline returns the SVG path of a step line, with gaps where the value is unknown. With a base line
// it returns the path of the area between them.
func outline(over span, points []point, y func(float64) float64, base float64) string {
	var d strings.Builder
	open := false
	closing := func(x float64) {
		if open && !math.IsNaN(base) {
			d.WriteString("H" + short(x) + "V" + short(base) + "Z")
		}
	}
	for i, m := range points {
		if i+1 < len(points) && points[i+1].at <= over.from.UnixMilli() {
			continue
		}
		x := over.x(m.at)
		switch {
		case math.IsNaN(m.value):
			if open && math.IsNaN(base) {
				d.WriteString("H" + short(x))
			}
			closing(x)
			open = false
			continue
		case !open && math.IsNaN(base):
			d.WriteString("M" + short(x) + " " + short(y(m.value)))
		case !open:
			d.WriteString("M" + short(x) + " " + short(base) + "V" + short(y(m.value)))
		default:
			d.WriteString("H" + short(x) + "V" + short(y(m.value)))
		}
		open = true
	}
	switch {
	case open && math.IsNaN(base):
		d.WriteString("H" + short(plotRight))
	case open:
		closing(plotRight)
	}
	return d.String()
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

func short(x float64) string { return strconv.FormatFloat(round(x), 'f', -1, 64) }
