// Package results is the record of the tests with real neighbours: when they passed, with which version, and what the
// files contained that decide about the operator's behavior beside the neighbour. These tests are not part of the gate;
// a test of this package, which is, fails if one of the files has changed since.
package results

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minicluster.internal/operator/test/framework/record"
)

// File is the record, from the root of the repository.
const File = "docs/data/neighbours.json"

// Suite are the tests with one neighbour.
type Suite struct {
	// Neighbour is the name of its folder in test/neighbours.
	Neighbour string
	// Tests is the package of the tests.
	Tests string
	// Covers are the files, as patterns, whose behavior the tests judge: not all of the product, since a record that
	// every change outdates would be renewed without being read.
	Covers []string
}

// Suites returns the suites.
func Suites() []Suite {
	return []Suite{
		{
			Neighbour: "karpenter",
			Tests:     "test/neighbours/nodes",
			Covers: []string{
				"pkg/controller/diagnose_autoscaler.go",
				"pkg/controller/diagnosis/autoscaler.go",
				"pkg/controller/drain/nodes.go",
				"pkg/controller/drain/nodes_status.go",
				"pkg/controller/nodes.go",
				"pkg/controller/nodes_list.go",
				"pkg/controller/nodes_unnamed.go",
				"pkg/controller/reconcile_budget.go",
				"pkg/controller/reconcile_idle_pods.go",
				"pkg/controller/reconcile_nodes.go",
				"pkg/controller/reconcile_rank_states.go",
				"pkg/controller/resources/disruptionbudget.go",
				"test/framework/karpenter/*.go",
				"test/neighbours/karpenter/go.mod",
				"test/neighbours/nodes/*.go",
			},
		},
		{
			Neighbour: "kueue",
			Tests:     "test/neighbours/queues",
			Covers: []string{
				"pkg/agent/supervise/pause.go",
				"pkg/controller/resources/queue.go",
				"pkg/controller/trim.go",
				"test/neighbours/kueue/go.mod",
				"test/neighbours/queues/*.go",
			},
		},
	}
}

// Run is the last run of a suite.
type Run struct {
	Neighbour string `json:"neighbour"`
	// Version is that of the neighbour, Kubernetes that of the control plane.
	Version    string `json:"version"`
	Kubernetes string `json:"kubernetes"`
	// Date is the day of the run, such as 2026-11-29.
	Date string `json:"date"`
	// Commit is the commit that the tested files are based on.
	Commit string `json:"commit"`
	// Passed are the tests that passed; a run in which one did not is not recorded.
	Passed []string `json:"passed"`
	// Files are the hashes of the covered files, without comments and formatting.
	Files map[string]string `json:"files"`
}

// Record is the last run of each suite.
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

// Add replaces the run with the same neighbour.
func (r *Record) Add(run Run) {
	r.Runs = slices.DeleteFunc(r.Runs, func(other Run) bool { return other.Neighbour == run.Neighbour })
	r.Runs = append(r.Runs, run)
	slices.SortFunc(r.Runs, func(a, b Run) int { return strings.Compare(a.Neighbour, b.Neighbour) })
}

// Outdated returns the covered files of a suite that have changed since its last run, sorted.
func (r *Record) Outdated(s Suite, files map[string]string) []string {
	recorded := map[string]string{}
	for _, run := range r.Runs {
		if run.Neighbour == s.Neighbour {
			recorded = run.Files
		}
	}
	var changed []string
	for name, hash := range files {
		if recorded[name] != hash {
			changed = append(changed, name)
		}
	}
	for name := range recorded {
		if _, ok := files[name]; !ok {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// Files returns the hashes of the covered files.
func (s Suite) Files(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, pattern := range s.Covers {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("the suite of %s covers %s, which does not exist", s.Neighbour, pattern)
		}
		for _, path := range found {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			if strings.HasSuffix(name, ".go") {
				content = code(content)
			}
			sum := sha256.Sum256(content)
			files[filepath.ToSlash(name)] = hex.EncodeToString(sum[:8])
		}
	}
	return files, nil
}

// code returns the tokens of a Go file without comments and formatting: a semicolon may be implied by a line break, and
// is optional at the end of a block.
func code(source []byte) []byte {
	var s scanner.Scanner
	set := token.NewFileSet()
	s.Init(set.AddFile("", set.Base(), len(source)), source, nil, 0)
	var text strings.Builder
	ended := false // a semicolon comes before the next token
	for {
		_, kind, literal := s.Scan()
		switch kind {
		case token.EOF:
			return []byte(text.String())
		case token.SEMICOLON:
			ended = true
			continue
		case token.RBRACE, token.RPAREN:
		default:
			if ended {
				fmt.Fprintln(&text, token.SEMICOLON)
			}
		}
		ended = false
		fmt.Fprintf(&text, "%s %s\n", kind, literal)
	}
}
