// Package results is the record of the tests on several versions of Kubernetes, from which the table in README.md is
// made. A test compares the two.
package results

import (
	"fmt"
	"slices"
	"strings"

	"minicluster.internal/operator/test/framework/record"
)

// File is the record, from the root of the repository.
const File = "docs/data/versions.json"

// Releases are the releases of Kubernetes to test: the latest patch of each minor version. The last one is that of
// test/kube, on which all other tests run.
func Releases() []string { return []string{"v1.33.13", "v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2"} }

// Result is the result of a topic.
type Result string

// Results of a topic.
const (
	Passed Result = "passed"
	Failed Result = "failed"
)

// Run is the result of the suite on a release of Kubernetes.
type Run struct {
	Kubernetes string `json:"kubernetes"`
	// Date is the day of the run, such as 2026-11-29.
	Date string `json:"date"`
	// Commit is the commit that was tested.
	Commit string `json:"commit"`
	// Tests is the number of tests that ran.
	Tests int `json:"tests"`
	// Topics are in the order of the suite.
	Topics []Topic `json:"topics"`
}

// Topic is a part of the suite.
type Topic struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
}

// Record is the last run on each release.
type Record struct {
	Runs []Run `json:"runs"`
}

// Load reads a record. A file that does not exist is an empty record.
func Load(path string) (*Record, error) {
	r := &Record{}
	return r, record.Load(path, r)
}

// Save writes a record.
func (r *Record) Save(path string) error { return record.Save(path, r) }

// Add replaces the run on the same release.
func (r *Record) Add(run Run) {
	r.Runs = slices.DeleteFunc(r.Runs, func(other Run) bool { return other.Kubernetes == run.Kubernetes })
	r.Runs = append(r.Runs, run)
	slices.SortFunc(r.Runs, func(a, b Run) int { return strings.Compare(a.Kubernetes, b.Kubernetes) })
}

// Table returns the table in README.md: a row for each release to test.
func (r *Record) Table() string {
	var text strings.Builder
	text.WriteString("| Kubernetes | tested | tests | passed | failed |\n|---|---|---|---|---|\n")
	for _, release := range slices.Backward(Releases()) {
		version := strings.TrimPrefix(release, "v")
		i := slices.IndexFunc(r.Runs, func(run Run) bool { return run.Kubernetes == release })
		if i < 0 {
			fmt.Fprintf(&text, "| %s | not yet | | | |\n", version)
			continue
		}
		run := r.Runs[i]
		fmt.Fprintf(&text, "| %s | %s | %d | %s | %s |\n", version, run.Date, run.Tests, run.names(Passed), run.names(Failed))
	}
	return text.String()
}

// names lists the topics with a result.
func (r Run) names(result Result) string {
	var names []string
	for _, topic := range r.Topics {
		if topic.Result == result {
			names = append(names, topic.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
