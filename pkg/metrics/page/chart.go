package page

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Geometry of a chart, in the units of its picture.
const (
	chartWidth, chartHeight = 440, 190
	plotLeft, plotRight     = 46, 432
	plotTop, plotBottom     = 10, 166
)

// leastSpan is how much time a chart shows at least.
const leastSpan = 5 * time.Minute

// mostRows is how many moments the table behind a chart has.
const mostRows = 12

// moment is what a series was from some time on; NaN where it was not known.
type moment struct {
	at    int64
	value float64
}

// series is a line of a chart.
type series struct {
	// Class says how it looks: it is a class of the page.
	Class string
	Label string
	// Now is what it is, in full.
	Now number
	// area fills what is below it.
	area bool
	// over may be far above the other lines, and is cut off there.
	over    bool
	moments []moment
}

// add adds what it is from some time on.
func (s *series) add(at int64, value float64) {
	if n := len(s.moments); n > 0 && (s.moments[n-1].value == value || math.IsNaN(s.moments[n-1].value) && math.IsNaN(value)) {
		return
	}
	s.moments = append(s.moments, moment{at: at, value: value})
}

// Chart is a picture of the last hour, with its legend and the table behind it.
type Chart struct {
	ID, Title, Unit string
	Legend          []series
	X, Y            []tick
	Paths           []path
	Head            []string
	Rows            []row
	// Summary is what the picture shows, in words.
	Summary string
}

type tick struct {
	At   float64
	Text string
}

type path struct{ Class, D string }

type row struct {
	Time  string
	Cells []string
}

// span is the time that charts show: the last hour, or less when there is less. It moves
// in steps, so that a picture of what stays as it is stays as it is for a while, too.
type span struct {
	from, to time.Time
	// last is the end of the last step that is over.
	last time.Time
}

// chartSteps and sparkSteps are in how many steps the width of a picture is passed: one is about
// as large as what can be told apart.
const (
	chartSteps = 360
	sparkSteps = 120
)

// spanOf is what there is to see now. What it ends with is as yet unknown, by a step at most.
func spanOf(began, now time.Time, steps int64) span {
	length := Window
	for _, shorter := range []time.Duration{45 * time.Minute, 30 * time.Minute, 20 * time.Minute, 15 * time.Minute, 10 * time.Minute, leastSpan} {
		if now.Sub(began) <= shorter {
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

// ticks are at full minutes.
func (s span) ticks() []tick {
	var every time.Duration
	for _, every = range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute} {
		if s.to.Sub(s.from) <= 6*every {
			break
		}
	}
	var ticks []tick
	for at := s.from.Truncate(every); !at.After(s.to); at = at.Add(every) {
		// Not where its text would be cut off.
		if x := s.x(at.UnixMilli()); !at.Before(s.from) && x <= plotRight-10 {
			ticks = append(ticks, tick{At: round(x), Text: clock(at)})
		}
	}
	return ticks
}

// clock is a time of the day without seconds.
func clock(at time.Time) string { return at.UTC().Format("15:04") }

// newChart draws lines. Amounts of bytes are shown in a larger unit.
func newChart(id, title, unit string, over span, lines []series) Chart {
	low, high := bounds(over, lines)
	u := scale{size: 1, digits: 2}
	if unit == unitBytes {
		u = unitOf(high)
		unit = u.name
		for i := range lines {
			lines[i].Now.Text = u.text(lines[i].Now.float())
		}
	}
	every := tidy((high - low) / u.size / 4)
	if unit != unitCores && u.size == 1 {
		every = math.Max(1, math.Ceil(every)) // there are no halves of these
	}
	bottom, top := math.Floor(low/u.size/every)*every, math.Ceil(high/u.size/every)*every
	if top <= bottom {
		top = bottom + every
	}
	y := func(v float64) float64 {
		return round(max(plotTop, plotBottom-(plotBottom-plotTop)*(v/u.size-bottom)/(top-bottom)))
	}
	c := Chart{ID: id, Title: title, Unit: unit, Legend: lines, X: over.ticks()}
	for n := 0; bottom+float64(n)*every <= top+every/2; n++ {
		v := bottom + float64(n)*every
		c.Y = append(c.Y, tick{At: y(v * u.size), Text: decimal(v, 3)})
	}
	for _, l := range lines {
		if l.area {
			if d := outline(over, l.moments, y, y(math.Max(bottom, 0)*u.size)); d != "" {
				c.Paths = append(c.Paths, path{Class: "area " + l.Class, D: d})
			}
		}
	}
	for _, l := range lines {
		if d := outline(over, l.moments, y, math.NaN()); d != "" {
			c.Paths = append(c.Paths, path{Class: "line " + l.Class, D: d})
		}
	}
	c.table(over, lines, u)
	c.Summary = summary(over, lines, u, unit)
	return c
}

// bounds are the least, at most 0, and the largest of all that is to be seen.
func bounds(over span, lines []series) (low, high float64) {
	for _, l := range lines {
		if l.over {
			continue
		}
		for i, m := range l.moments {
			if math.IsNaN(m.value) || i+1 < len(l.moments) && l.moments[i+1].at <= over.from.UnixMilli() {
				continue
			}
			low, high = math.Min(low, m.value), math.Max(high, m.value)
		}
	}
	return low, high
}

// tidy is the next number up of 1, 2 and 5 and their tenfold.
func tidy(x float64) float64 {
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

// outline is the path of steps, with gaps where nothing is known. With a base line it is
// that of the area above it.
func outline(over span, moments []moment, y func(float64) float64, base float64) string {
	var d strings.Builder
	open := false
	closing := func(x float64) {
		if open && !math.IsNaN(base) {
			d.WriteString("H" + short(x) + "V" + short(base) + "Z")
		}
	}
	for i, m := range moments {
		if i+1 < len(moments) && moments[i+1].at <= over.from.UnixMilli() {
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

// value is what a series was at a time; NaN where that is not known.
func (s *series) value(at int64) float64 {
	value := math.NaN()
	for _, m := range s.moments {
		if m.at > at {
			break
		}
		value = m.value
	}
	return value
}

// table has what the lines were at moments that are evenly apart, the last one first.
func (c *Chart) table(over span, lines []series, u scale) {
	for _, l := range lines {
		c.Head = append(c.Head, l.Label)
	}
	every := over.to.Sub(over.from) / mostRows
	for n := range mostRows {
		at := over.last.Add(-time.Duration(n) * every)
		r := row{Time: at.UTC().Format("15:04:05")}
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

// summary says how far each line went.
func summary(over span, lines []series, u scale, unit string) string {
	var parts []string
	for _, l := range lines {
		low, high := math.Inf(1), math.Inf(-1)
		for i, m := range l.moments {
			if math.IsNaN(m.value) || i+1 < len(l.moments) && l.moments[i+1].at <= over.from.UnixMilli() {
				continue
			}
			low, high = math.Min(low, m.value), math.Max(high, m.value)
		}
		switch {
		case low > high:
			parts = append(parts, l.Label+" not known")
		case low == high:
			parts = append(parts, l.Label+" "+u.text(low)+" all the time")
		default:
			parts = append(parts, l.Label+" between "+u.text(low)+" and "+u.text(high))
		}
	}
	return "From " + clock(over.from) + " to " + clock(over.last) + " UTC, in " + unit + ": " + strings.Join(parts, "; ") + "."
}

// spark draws a line without axes.
func spark(over span, line series) string {
	_, high := bounds(over, []series{line})
	high = math.Max(high, 1)
	return outline(over, thin(over, line.moments), func(v float64) float64 { return plotBottom - (plotBottom-plotTop)*v/high }, math.NaN())
}

// sparkGrain is what can be told apart in the small picture.
const sparkGrain = 3

// thin leaves out what is over before it could be seen.
func thin(over span, moments []moment) []moment {
	kept := make([]moment, 0, len(moments))
	grain := func(m moment) float64 { return math.Floor(over.x(m.at) / sparkGrain) }
	for i, m := range moments {
		if i+1 == len(moments) || grain(m) != grain(moments[i+1]) {
			kept = append(kept, m)
		}
	}
	return kept
}
