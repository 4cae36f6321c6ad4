package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed plot.svg.tmpl
var plotTemplate string

// Dimensions of all panels, in pixels.
const (
	panelLeft  = 60
	panelWidth = 840
)

// panel is a chart of lines over time.
type panel struct {
	Title string
	// Top and Height are in pixels. Max is the value at the top, Min at the bottom.
	Top, Height int
	Min, Max    float64
	Ticks       []tick
	Lines       []line
}

// tick is a grid line with a label.
type tick struct {
	At    float64
	Label string
}

// line is a step line.
type line struct {
	Class, Path string
}

// drawing is the data of the template.
type drawing struct {
	Description   string
	Left, Right   int
	Bottom        int
	Panels        []panel
	Minutes       []tick
	TargetPercent string
	Last          int
}

func draw(samples []sample) drawing {
	verdicts := judge(samples)
	d := drawing{
		Left: panelLeft, Right: panelLeft + panelWidth, TargetPercent: fmt.Sprintf("%.1f%%", 100*target),
		Description: fmt.Sprintf("The load changes %d times. The size that the tutorial's autoscaler gives changes %d times, between %d and %d. The MiniCluster's changes %d times, and is what fits soon after each change of the load.",
			verdicts[average].loads, verdicts[value].sizes, verdicts[value].smallest, verdicts[value].largest, verdicts[average].sizes),
		Last: samples[len(samples)-1].second,
	}
	both := func(of func(sample, facts) float64) map[string]func(sample) float64 {
		return map[string]func(sample) float64{
			half(value):   func(s sample) float64 { return of(s, s.halves[value]) },
			half(average): func(s sample) float64 { return of(s, s.halves[average]) },
		}
	}
	sizes := both(func(_ sample, f facts) float64 { return float64(f.size) })
	sizes["fits"] = func(s sample) float64 { return float64(fits(s.paying)) }
	fill := both(func(_ sample, f facts) float64 { return 100 * f.fill() })
	fill["fits"] = func(sample) float64 { return 100 * target }
	waiting := both(func(_ sample, f facts) float64 { return float64(f.waiting) })
	load := map[string]func(sample) float64{"load": func(s sample) float64 { return float64(s.paying) }}

	top := 64
	add := func(title string, height int, low, high, every float64, unit string, lines map[string]func(sample) float64) {
		p := panel{Title: title, Top: top, Height: height, Min: low, Max: high}
		for at := low; at <= high; at += every {
			p.Ticks = append(p.Ticks, tick{p.y(at), fmt.Sprintf("%g%s", at, unit)})
		}
		for _, class := range []string{"fits", half(value), half(average), "load"} {
			if of := lines[class]; of != nil {
				p.Lines = append(p.Lines, line{class, p.steps(samples, d.Last, of)})
			}
		}
		d.Panels = append(d.Panels, p)
		top += height + 44
	}
	add("Cores that the paying load wants", 70, 0, 80, 40, "", load)
	add("Size of what fills the rest", 190, 0, 150, 50, "", sizes)
	add("Cores in use", 130, 20, 100, 20, "%", fill)
	add("Cores for which paying pods wait", 90, 0, 80, 40, "", waiting)
	d.Bottom = top - 12
	for second := 0; second <= d.Last; second += 60 {
		d.Minutes = append(d.Minutes, tick{x(second, d.Last), fmt.Sprint(second / 60)})
	}
	return d
}

func x(second, last int) float64 {
	return panelLeft + panelWidth*float64(second)/float64(last)
}

func (p *panel) y(v float64) float64 {
	return float64(p.Top) + float64(p.Height)*(p.Max-min(max(v, p.Min), p.Max))/(p.Max-p.Min)
}

func (p *panel) steps(samples []sample, last int, of func(sample) float64) string {
	var path strings.Builder
	before := 0.0
	for i, s := range samples {
		switch y := p.y(of(s)); {
		case i == 0:
			fmt.Fprintf(&path, "M%.1f %.1f", x(s.second, last), y)
			before = y
		case y != before:
			fmt.Fprintf(&path, "H%.1fV%.1f", x(s.second, last), y)
			before = y
		}
	}
	fmt.Fprintf(&path, "H%.1f", x(last, last))
	return path.String()
}

// render returns the plot as SVG.
func render(samples []sample) ([]byte, error) {
	t, err := template.New("plot").Parse(plotTemplate)
	if err != nil {
		return nil, fmt.Errorf("parsing the template of the plot: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, draw(samples)); err != nil {
		return nil, fmt.Errorf("drawing the plot: %w", err)
	}
	return out.Bytes(), nil
}

func writePlot(path string, samples []sample) error {
	text, err := render(samples)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Clean(path), text, 0o644); err != nil { //nolint:gosec // readable by all users
		return fmt.Errorf("writing the plot: %w", err)
	}
	return nil
}
