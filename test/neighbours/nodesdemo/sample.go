package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"minicluster.internal/operator/test/framework/stepplot"
)

// sample is the state of the demo at a second after the submission of the jobs.
type sample struct {
	second, pending, running, size, pods, nodes int
}

func columns() []string { return []string{"second", "pending", "running", "size", "pods", "nodes"} }

func (s *sample) fields() []*int {
	return []*int{&s.second, &s.pending, &s.running, &s.size, &s.pods, &s.nodes}
}

func writeTable(path string, samples []sample) error {
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	w := csv.NewWriter(file)
	_ = w.Write(columns()) // Error returns what fails
	for i := range samples {
		var row []string
		for _, field := range samples[i].fields() {
			row = append(row, strconv.Itoa(*field))
		}
		_ = w.Write(row)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return file.Close()
}

func readTable(path string) ([]sample, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 2 {
		return nil, fmt.Errorf("reading the table %s: %d lines, %w", path, len(rows), err)
	}
	samples := make([]sample, len(rows)-1)
	for i, row := range rows[1:] {
		for n, field := range samples[i].fields() {
			if *field, err = strconv.Atoi(row[n]); err != nil {
				return nil, fmt.Errorf("reading the table %s: %w", path, err)
			}
		}
	}
	return samples, nil
}

// plot returns the drawing of a run.
func plot(samples []sample) *stepplot.Plot {
	p := &stepplot.Plot{
		Title:       "Jobs, the size of a MiniCluster, its pods, and the nodes that Karpenter buys for them",
		Description: timelineOf(samples).String(),
		Lines: []stepplot.Line{
			{Class: "pending", Style: "stroke: #7d8894; stroke-dasharray: 4 4;", Legend: "jobs that wait"},
			{Class: "running", Style: "stroke: #2f7fe0;", Legend: "jobs that run", LegendAt: 170},
			{Class: "size", Style: "stroke: #7d8894;", Legend: "spec.size", LegendAt: 340},
			{Class: "pods", Style: "stroke: #d97706;", Legend: "pods that are ready", LegendAt: 480},
			{Class: "nodes", Style: "stroke: #2e9e5b; stroke-width: 2.2;", Legend: "nodes", LegendAt: 680},
		},
	}
	values := map[string][]float64{}
	for i := range samples {
		p.Seconds = append(p.Seconds, samples[i].second)
		for n, field := range samples[i].fields() {
			values[columns()[n]] = append(values[columns()[n]], float64(*field))
		}
	}
	panel := func(title string, classes ...string) {
		some := map[string][]float64{}
		for _, class := range classes {
			some[class] = values[class]
		}
		p.Panels = append(p.Panels, stepplot.Panel{Title: title, Height: 90, Max: jobs, Every: 2, Values: some})
	}
	panel("Jobs", "pending", "running")
	panel("MiniCluster", "size", "pods")
	panel("Nodes", "nodes")
	return p
}
