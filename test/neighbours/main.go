// Command neighbours builds the real programs that share clusters with the operator, runs the tests with them, and
// records the result in docs/data/neighbours.json. It is not part of the gate, which only checks the record.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/test/neighbours/neighbour"
	"minicluster.internal/operator/test/neighbours/results"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	names := flag.String("neighbours", "", "neighbours to test with, for example kueue; unset: all")
	flag.Parse()
	err := run(ctx, os.Stdout, *names)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "neighbours:", err)
		os.Exit(1)
	}
}

// programs returns the neighbours, by their names.
func programs() []neighbour.Program {
	return []neighbour.Program{neighbour.Karpenter(), neighbour.Kueue()}
}

func run(ctx context.Context, out io.Writer, names string) error {
	root, err := neighbour.Root()
	if err != nil {
		return err
	}
	suites := results.Suites()
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ',' }) {
		if !slices.ContainsFunc(suites, func(s results.Suite) bool { return s.Neighbour == name }) {
			return fmt.Errorf("--neighbours: unknown neighbour %q", name)
		}
	}
	for _, suite := range suites {
		if names != "" && !slices.Contains(strings.Split(names, ","), suite.Neighbour) {
			continue
		}
		if err := test(ctx, out, root, suite); err != nil {
			return err
		}
	}
	return nil
}

// test builds a neighbour, runs its tests and records that they passed.
func test(ctx context.Context, out io.Writer, root string, suite results.Suite) error {
	i := slices.IndexFunc(programs(), func(p neighbour.Program) bool { return p.Name == suite.Neighbour })
	if i < 0 {
		return fmt.Errorf("nothing builds %s", suite.Neighbour)
	}
	program := programs()[i]
	version, err := program.Version(ctx, root)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "== %s %s\n", program.Title, version)
	if _, err := program.Ensure(ctx, root, os.Stderr); err != nil {
		return err
	}
	files, err := suite.Files(root) // before the tests: a file that changes meanwhile is not tested
	if err != nil {
		return err
	}
	passed, err := runTests(ctx, out, root, suite.Tests)
	if err != nil {
		return err
	}
	run := results.Run{Neighbour: suite.Neighbour, Version: version, Date: time.Now().UTC().Format(time.DateOnly), Passed: passed, Files: files}
	if run.Commit, err = output(ctx, root, "git", "rev-parse", "--short=12", "HEAD"); err != nil {
		return err
	}
	run.Kubernetes, err = output(ctx, filepath.Join(root, "test", "kube"), "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	path := filepath.Join(root, filepath.FromSlash(results.File))
	record, err := results.Load(path)
	if err != nil {
		return err
	}
	record.Add(run)
	return record.Save(path)
}

// runTests runs the tests of a package and returns the names of those that passed. It fails if one did not.
func runTests(ctx context.Context, out io.Writer, root, pkg string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-vet=off", "-trimpath", "-timeout=30m", "./"+pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", neighbour.Variable+"=required")
	cmd.Stderr = os.Stderr
	text, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("running the tests of %s: %w", pkg, err)
	}
	passed, failed, readErr := read(out, text)
	err = cmd.Wait()
	switch {
	case readErr != nil:
		return nil, readErr
	case len(failed) > 0:
		return nil, fmt.Errorf("%s: these tests did not pass: %s", pkg, strings.Join(failed, ", "))
	case err != nil:
		return nil, fmt.Errorf("running the tests of %s: %w", pkg, err)
	case len(passed) == 0:
		return nil, fmt.Errorf("%s: no test ran", pkg)
	}
	return passed, nil
}

// read reads the output of go test -json, and prints the output of tests that did not pass. It reads all of it in any
// case, because go test does not end before.
func read(out io.Writer, text io.Reader) (passed, failed []string, err error) {
	defer func() { _, _ = io.Copy(io.Discard, text) }()
	said := map[string]*strings.Builder{}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Action, Test, Output string
			Elapsed              float64
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, nil, fmt.Errorf("reading the output of go test: %w: %s", err, lines.Text())
		}
		test, _, part := strings.Cut(event.Test, "/")
		if said[test] == nil {
			said[test] = &strings.Builder{}
		}
		switch event.Action {
		case "output":
			said[test].WriteString(event.Output)
		case "pass", "fail", "skip":
			if part {
				continue
			}
			if event.Action != "pass" {
				fmt.Fprint(out, said[test])
			}
			if test == "" {
				continue
			}
			fmt.Fprintf(out, "   %s %s (%.1f s)\n", event.Action, test, event.Elapsed)
			if event.Action == "pass" {
				passed = append(passed, test)
			} else {
				failed = append(failed, test)
			}
		}
	}
	slices.Sort(passed)
	return passed, failed, lines.Err()
}

// output returns what a program prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}
