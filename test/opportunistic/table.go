package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// column is a column of the table.
type column struct {
	name string
	of   func(*sample) *int
}

// columns returns all columns in order.
func columns() []column {
	all := []column{
		{"second", func(s *sample) *int { return &s.second }},
		{"load_cores", func(s *sample) *int { return &s.paying }},
	}
	for i := range halves {
		for _, c := range []struct {
			name string
			of   func(*facts) *int
		}{
			{"size", func(f *facts) *int { return &f.size }},
			{"wanted", func(f *facts) *int { return &f.wanted }},
			{"pods", func(f *facts) *int { return &f.pods }},
			{"paying_cores", func(f *facts) *int { return &f.paying }},
			{"waiting_cores", func(f *facts) *int { return &f.waiting }},
			{"free_cores", func(f *facts) *int { return &f.free }},
		} {
			all = append(all, column{half(i) + "_" + c.name, func(s *sample) *int { return c.of(&s.halves[i]) }})
		}
	}
	return all
}

// writeTable writes one line per sample. The fill level is derived from the other columns.
func writeTable(path string, samples []sample) (err error) {
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var header []string
	for _, c := range columns() {
		header = append(header, c.name)
	}
	for i := range halves {
		header = append(header, half(i)+"_fill_percent")
	}
	lines := [][]string{header}
	for _, s := range samples {
		var line []string
		for _, c := range columns() {
			line = append(line, strconv.Itoa(*c.of(&s)))
		}
		for i := range halves {
			line = append(line, strconv.FormatFloat(100*s.halves[i].fill(), 'f', 1, 64))
		}
		lines = append(lines, line)
	}
	if err := csv.NewWriter(file).WriteAll(lines); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// readTable reads a table from writeTable.
func readTable(path string) ([]sample, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("reading the table: %s is empty", path)
	}
	samples := make([]sample, len(lines)-1)
	for _, c := range columns() {
		at := slices.Index(lines[0], c.name)
		if at < 0 {
			return nil, fmt.Errorf("reading the table: %s has no column %s", path, c.name)
		}
		for i := range samples {
			if *c.of(&samples[i]), err = strconv.Atoi(lines[i+1][at]); err != nil {
				return nil, fmt.Errorf("reading the table: line %d: %w", i+2, err)
			}
		}
	}
	return samples, nil
}
