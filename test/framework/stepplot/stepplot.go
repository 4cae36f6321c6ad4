// Package stepplot draws values that change in steps over some minutes as SVG: one or several panels below each other
// with a common time axis. Programs that record a run draw it with this package.
package stepplot

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
	firstTop   = 64
	panelGap   = 44
)

// shortRun is the length in seconds from which on the time axis has minutes.
const shortRun = 180

// Line is a kind of line, the same in all panels.
type Line struct {
	// Class is its name, Style its CSS.
	Class, Style string
	// Legend is its text in the legend, at a position in pixels; lines without a text are not in the legend.
	Legend   string
	LegendAt int
}

// TextAt is the position of the text in the legend.
func (l Line) TextAt() int { return l.LegendAt + 36 }

// Panel is a chart of some of the lines.
type Panel struct {
	Title string
	// Height is in pixels. Min is the value at the bottom, Max that at the top, Every that between two grid lines.
	Height          int
	Min, Max, Every float64
	// Unit follows the numbers at the grid lines.
	Unit string
	// Values returns the values of lines by their classes: for each sample, in order.
	Values map[string][]float64
}

// Plot is a drawing.
type Plot struct {
	Title, Description string
	Lines              []Line
	Panels             []Panel
	// Seconds are the times of the samples, in order.
	Seconds []int
}

// Render returns the plot as SVG.
func (p *Plot) Render() ([]byte, error) {
	t, err := template.New("plot").Parse(plotTemplate)
	if err != nil {
		return nil, fmt.Errorf("parsing the template of the plot: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p.layout()); err != nil {
		return nil, fmt.Errorf("drawing the plot: %w", err)
	}
	return out.Bytes(), nil
}

// Write writes the plot to a file.
func (p *Plot) Write(path string) error {
	text, err := p.Render()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Clean(path), text, 0o644); err != nil { //nolint:gosec // readable by all users
		return fmt.Errorf("writing the plot: %w", err)
	}
	return nil
}

// tick is a grid line with a label, path a step line.
type (
	tick struct {
		At    float64
		Label string
	}
	path      struct{ Class, D string }
	placement struct {
		Title string
		Top   int
		Ticks []tick
		Paths []path
	}
)

// drawing is the data of the template.
type drawing struct {
	Title, Description string
	Lines              []Line
	Left, Right        int
	Bottom             int
	Panels             []placement
	Times              []tick
}

func (p *Plot) layout() drawing {
	d := drawing{Title: p.Title, Description: p.Description, Lines: p.Lines, Left: panelLeft, Right: panelLeft + panelWidth}
	top := firstTop
	for i := range p.Panels {
		panel := &p.Panels[i]
		placed := placement{Title: panel.Title, Top: top}
		for at := panel.Min; at <= panel.Max; at += panel.Every {
			placed.Ticks = append(placed.Ticks, tick{panel.y(top, at), fmt.Sprintf("%g%s", at, panel.Unit)})
		}
		for _, line := range p.Lines {
			if values := panel.Values[line.Class]; values != nil {
				placed.Paths = append(placed.Paths, path{line.Class, p.steps(panel, top, values)})
			}
		}
		d.Panels = append(d.Panels, placed)
		top += panel.Height + panelGap
	}
	d.Bottom = top - 12
	step, unit := 60, "min"
	if p.last() < shortRun {
		step, unit = 10, "s"
	}
	d.Times = append(d.Times, tick{p.x(0), "0 " + unit})
	for second := step; second <= p.last(); second += step {
		label := second
		if unit == "min" {
			label /= 60
		}
		d.Times = append(d.Times, tick{p.x(second), fmt.Sprint(label)})
	}
	return d
}

func (p *Plot) last() int { return p.Seconds[len(p.Seconds)-1] }

func (p *Plot) x(second int) float64 {
	return panelLeft + panelWidth*float64(second)/float64(p.last())
}

func (panel *Panel) y(top int, v float64) float64 {
	return float64(top) + float64(panel.Height)*(panel.Max-min(max(v, panel.Min), panel.Max))/(panel.Max-panel.Min)
}

func (p *Plot) steps(panel *Panel, top int, values []float64) string {
	var d strings.Builder
	before := 0.0
	for i, second := range p.Seconds {
		switch y := panel.y(top, values[i]); {
		case i == 0:
			fmt.Fprintf(&d, "M%.1f %.1f", p.x(second), y)
			before = y
		case y != before:
			fmt.Fprintf(&d, "H%.1fV%.1f", p.x(second), y)
			before = y
		}
	}
	fmt.Fprintf(&d, "H%.1f", p.x(p.last()))
	return d.String()
}
