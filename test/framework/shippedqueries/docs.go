// Package shippedqueries reads what the repository ships about metrics: the metrics that the documentation lists, and
// the queries of the dashboard and the rules in manifests/monitoring. It reads files only; tests decide what to check.
package shippedqueries

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Metric is a documented metric of a program. test/documentation checks that exactly the existing metrics are
// documented.
type Metric struct {
	// Type is gauge, counter or histogram.
	Type string
	// Labels are the names of its labels, without those of a scrape.
	Labels []string
}

// tables lists the tables of metrics: files and headings.
func tables() map[string][]string {
	return map[string][]string{
		"docs/operations.md":    {"## Metrics", "## Health and metrics of Flux"},
		"docs/metrics.md":       {"## Metrics of the server"},
		"docs/opportunistic.md": {"## Metrics"},
	}
}

// Metrics reads the tables of metrics below the root of the repository. It ignores tables without a column for
// labels.
func Metrics(root string) (map[string]Metric, error) {
	all := map[string]Metric{}
	for file, headings := range tables() {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			return nil, fmt.Errorf("reading the documented metrics: %w", err)
		}
		for _, heading := range headings {
			found := readTables(section(string(text), heading))
			if len(found) == 0 {
				return nil, fmt.Errorf("%s: no table of metrics below %q", file, heading)
			}
			for name, metric := range found {
				all[name] = metric
			}
		}
	}
	return all, nil
}

// section returns the text below a heading.
func section(text, heading string) string {
	var lines []string
	inside := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			inside = strings.TrimSpace(line) == heading
		}
		if inside {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

var (
	quoted = regexp.MustCompile("`([^`]+)`")
	// aside is a remark about a label.
	aside = regexp.MustCompile(`\([^)]*\)|:.*`)
	name  = regexp.MustCompile(`^[a-z][a-z_]+$`)
)

// readTables reads tables with the columns metric (also: metric of Flux), labels and optionally type.
func readTables(text string) map[string]Metric {
	metrics := map[string]Metric{}
	var header []string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") {
			header = nil
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if header == nil {
			header = cells
			continue
		}
		labels := slices.Index(header, "labels")
		if labels < 0 || !strings.HasPrefix(header[0], "metric") {
			continue
		}
		metric := Metric{Type: "gauge", Labels: names(aside.ReplaceAllString(cells[labels], ""))}
		if kind := slices.Index(header, "type"); kind >= 0 {
			metric.Type = cells[kind]
		}
		for _, one := range names(cells[0]) {
			metrics[one] = metric
		}
	}
	return metrics
}

func names(cell string) []string {
	var found []string
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		if name.MatchString(match[1]) {
			found = append(found, match[1])
		}
	}
	return found
}
