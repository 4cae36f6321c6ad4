package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/versions/results"
)

// Packages of the tests.
const (
	controllerTests = "./test/integration/controller"
	failureTests    = "./test/integration/failures"
	apiTests        = "./test/integration/api"
	hpaTests        = "./test/integration/hpa"
)

// topic is a part of the suite: tests whose results depend on the version of Kubernetes.
type topic struct {
	name  string
	tests map[string][]string
}

func suite() []topic {
	return []topic{
		{"creation", map[string][]string{controllerTests: {"TestCreate", "TestDeleteAndCreateAgain", "TestPodsWithEverything"}}},
		{"bounds", map[string][]string{controllerTests: {"TestSizeAboveTheMaximum", "TestSizeBelowTheMinimum", "TestSizeZeroFromTheStart"}}},
		{"resize", map[string][]string{controllerTests: {"TestShrinkAndGrow", "TestScaleSubresource", "TestGrowthWaitsForTerminatingPods"}}},
		{"success", map[string][]string{controllerTests: {"TestComplete", "TestCleanup"}}},
		{"failure", map[string][]string{controllerTests: {"TestFailed"}, failureTests: {"TestFollowerFails", "TestEvictedLead"}}},
		{"namespace deletion", map[string][]string{failureTests: {"TestNamespaceDeletion"}}},
		{"server-side apply", map[string][]string{controllerTests: {"TestApplyWithoutSize", "TestServerSideApplyAfterRejection"}}},
		{"definition for 1.27", map[string][]string{apiTests: {"TestApplyCRD", "TestCRDForOlderKubernetes"}}},
		{"validation rules", map[string][]string{apiTests: {"TestRules", "TestSizesAreWritable"}}},
		{"autoscaling", map[string][]string{hpaTests: {"TestTutorial", "TestAutoscalerBeyondTheBounds"}}},
	}
}

// packages returns the packages of all topics.
func packages() []string {
	found := map[string]bool{}
	for _, topic := range suite() {
		for pkg := range topic.tests {
			found[pkg] = true
		}
	}
	var sorted []string
	for pkg := range found {
		sorted = append(sorted, pkg)
	}
	slices.Sort(sorted)
	return sorted
}

// testsOf returns the tests of a package in all topics.
func testsOf(pkg string) []string {
	var tests []string
	for _, topic := range suite() {
		tests = append(tests, topic.tests[pkg]...)
	}
	return tests
}

// outcomes are the results of tests, by package and test: pass, fail or skip. A test that did not run has none.
type outcomes map[string]string

func key(pkg, test string) string { return strings.TrimPrefix(pkg, "./") + "." + test }

// run runs the tests of a package. It returns no error for tests that fail.
func (o outcomes) run(ctx context.Context, out io.Writer, root, programs, pkg string) error {
	tests := testsOf(pkg)
	fmt.Fprintf(out, "-- %s: %d tests\n", pkg, len(tests))
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-vet=off", "-trimpath", "-timeout=30m",
		"-run=^("+strings.Join(tests, "|")+")$", pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", kubebin.DirVariable+"="+programs)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running the tests of %s: %w", pkg, err)
	}
	return o.read(out, pkg, output)
}

// read reads the output of go test -json, and prints the output of tests that fail.
func (o outcomes) read(out io.Writer, pkg string, output []byte) error {
	said := map[string]*strings.Builder{}
	lines := bufio.NewScanner(bytes.NewReader(output))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return fmt.Errorf("reading the output of go test: %w: %s", err, lines.Text())
		}
		test, _, part := strings.Cut(event.Test, "/")
		if said[test] == nil {
			said[test] = &strings.Builder{}
		}
		switch event.Action {
		case "output":
			said[test].WriteString(event.Output)
		case "pass", "fail", "skip":
			if test != "" && !part {
				o[key(pkg, test)] = event.Action
				fmt.Fprintf(out, "   %s %s\n", event.Action, test)
			}
			if event.Action == "fail" && !part {
				fmt.Fprint(out, said[test])
			}
		}
	}
	return lines.Err()
}

// topics returns the results of the topics: one passes if all of its tests do.
func (o outcomes) topics() []results.Topic {
	var all []results.Topic
	for _, topic := range suite() {
		result := results.Passed
		for pkg, tests := range topic.tests {
			for _, test := range tests {
				if o[key(pkg, test)] != "pass" {
					result = results.Failed
				}
			}
		}
		all = append(all, results.Topic{Name: topic.name, Result: result})
	}
	return all
}

// head returns the commit of the repository.
func head(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD")
	cmd.Dir = root
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the commit: %w", err)
	}
	return strings.TrimSpace(string(output)), nil
}
