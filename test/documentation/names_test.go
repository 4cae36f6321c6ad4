package documentation_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	controllerapp "minicluster.internal/operator/pkg/controller/app"
	metricsapp "minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/pkg/plugin"
)

var indexes = regexp.MustCompile(`\[\d*\]`)

// TestFields checks that each field of a MiniCluster that a page names by its full path exists. The reference is
// generated from the types.
func TestFields(t *testing.T) {
	t.Parallel()
	known := set("(?m)^\\| `((?:spec|status)[^`]*)`", read(t, "docs/reference/api.md"))
	require.Contains(t, known, "spec.size")
	field := regexp.MustCompile(`(?:^|[^\w./-])((?:spec|status)\.[A-Za-z][\w.\[\]]*)`)
	for _, p := range pages(t) {
		for _, span := range p.spans {
			for _, match := range field.FindAllStringSubmatch(span, -1) {
				if name := match[1]; name != "status.go" && !strings.HasSuffix(name, ".enableServiceLinks") { // the example of CONTRIBUTING.md
					assert.True(t, known[strings.TrimSuffix(indexes.ReplaceAllString(name, "[]"), "[]")], "%s: field %s does not exist", p.name, name)
				}
			}
		}
	}
}

// othersFlags are commands of other programs whose flags are not checked.
var othersFlags = map[string]bool{
	"horizontal-pod-autoscaler-tolerance": true, // kube-controller-manager
	"enable-provisioning-requests":        true, // cluster-autoscaler
	"expendable-pods-priority-cutoff":     true, // cluster-autoscaler
	"env":                                 true, // flux submit
	"progress":                            true, // flux submit
	"wait":                                true, // helm
	"expires":                             true, // minicluster-agent metric
	"max-nodes":                           true, // flux account add-user
	"max-running-jobs":                    true, // flux account add-user
	"max-sched-jobs":                      true, // flux account add-user
}

// TestFlags checks that single flags, and those of command lines of the project's programs, exist.
func TestFlags(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"help": true, "version": true}
	for _, command := range []*cobra.Command{controllerapp.NewCommand(), metricsapp.NewCommand(), plugin.NewCommand(genericiooptions.NewTestIOStreamsDiscard())} {
		for _, c := range append(command.Commands(), command) {
			c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
			c.PersistentFlags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		}
	}
	ours := regexp.MustCompile(`minicluster-(?:controller|metrics)((?: +[^ |]+)+)`)
	flag := regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
	// Programs for tests and measurements also have flags.
	var defined strings.Builder
	for _, name := range listed(t, "test/*.go", "hack/*.go") {
		defined.WriteString(read(t, name))
	}
	tools := set(`Var(?:P)?\([^"\n]*"([a-z][a-z-]*)"`, defined.String())
	for _, p := range pages(t) {
		for _, span := range p.spans {
			if match := flag.FindStringSubmatch(span); match != nil && strings.HasPrefix(span, "--") {
				assert.True(t, known[match[1]] || tools[match[1]] || othersFlags[match[1]], "%s: flag --%s does not exist", p.name, match[1])
			}
		}
		for line := range strings.Lines(p.text) {
			command := ours.FindString(line)
			if strings.Contains(line, "kubectl") && !strings.Contains(line, "| minicluster") {
				continue // the name of an object
			}
			for _, match := range flag.FindAllStringSubmatch(command, -1) {
				assert.True(t, known[match[1]], "%s: flag --%s does not exist: %s", p.name, match[1], line)
			}
		}
	}
}

// TestMetrics checks that each metric of the project that a page names is in a table of the reference. Other tests
// check those tables.
func TestMetrics(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range []string{operations, metricsAPI, opportunistic} {
		for line := range strings.Lines(read(t, name)) {
			if strings.HasPrefix(line, "|") {
				for metric := range set("`((?:minicluster|flux)_[a-z_]+)`", line) {
					known[metric] = true
				}
			}
		}
	}
	require.Contains(t, known, "minicluster_drains_total")
	for _, p := range pages(t) {
		for _, span := range p.spans {
			for metric := range set(`^((?:minicluster|flux)_[a-z_]+[a-z])(?:\{.*\})?$`, span) {
				assert.True(t, known[metric], "%s: metric %s is in no table", p.name, metric)
			}
		}
	}
}

// TestLabels checks that the reference lists exactly the project's labels and annotations.
func TestLabels(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, name := range listed(t, "pkg/apis/fluxframework/v1alpha2/wellknown.go", "pkg/controller/*.go") {
		if !strings.HasSuffix(name, "_test.go") {
			source.WriteString(read(t, name))
		}
	}
	code := set(`(?m)^\s*(?:const )?\w*(?:Label|Annotation|annotation|Finalizer)\w* *= "([a-z.-]+(?:/[a-z-]+)?)"`, source.String())
	text := read(t, "docs/reference/labels.md")
	documented := set("(?m)^\\| `([a-z.-]+/[a-z-]+|hpa-selector)`", text)
	require.Contains(t, code, "hpa-selector")
	assert.Equal(t, code, documented)
}

// TestFiles checks that paths in the repository that pages name exist.
func TestFiles(t *testing.T) {
	t.Parallel()
	path := regexp.MustCompile(`(?:^|[^\w./-])((?:pkg|test|manifests|docs|hack|examples|cmd|\.ci)/[\w./*-]*\w)`)
	for _, p := range pages(t) {
		for _, match := range path.FindAllStringSubmatch(p.text, -1) {
			found, err := filepath.Glob(filepath.Join(root, match[1]))
			require.NoError(t, err)
			if len(found) == 0 {
				found, err = filepath.Glob(filepath.Join(root, filepath.Dir(p.name), match[1]))
				require.NoError(t, err)
			}
			assert.NotEmpty(t, found, "%s: %s does not exist", p.name, match[1])
		}
	}
}

// TestTargets checks that targets of make that pages name exist, and so do variables for them.
func TestTargets(t *testing.T) {
	t.Parallel()
	makefile := read(t, "Makefile")
	targets, variables := set(`(?m)^([a-z0-9-]+):`, makefile), set(`\$\(([A-Z_]+)\)`, makefile)
	for name := range set(`\(([A-Z]+)=`, makefile) { // used by a script
		variables[name] = true
	}
	command := regexp.MustCompile(`^(?:[$#] )?make ([a-z][a-z0-9-]*)((?: [A-Z_]+=\S+)*)`)
	for _, p := range pages(t) {
		lines := append(strings.Split(p.text, "\n"), p.spans...)
		for _, line := range lines {
			match := command.FindStringSubmatch(line)
			if match == nil || (line[0] == 'm' && !assertable(p, line)) {
				continue
			}
			assert.True(t, targets[match[1]], "%s: target %s does not exist", p.name, match[1])
			for variable := range set(`([A-Z_]+)=`, match[2]) {
				assert.True(t, variables[variable], "%s: make %s does not use variable %s", p.name, match[1], variable)
			}
		}
	}
}

// assertable reports whether a line that begins with the word make is a command.
func assertable(p page, line string) bool {
	for _, span := range p.spans {
		if span == line {
			return true
		}
	}
	for _, fence := range fences.FindAllString(p.text, -1) {
		if strings.Contains(fence, "\n"+line+"\n") {
			return true
		}
	}
	return false
}

// TestTests checks that tests that pages name exist, and that environment variables are used.
func TestTests(t *testing.T) {
	t.Parallel()
	var all, source strings.Builder
	for _, name := range listed(t, "*.go", "*.sh", ".ci/*", "Makefile") {
		text := read(t, name)
		all.WriteString(text)
		if !strings.HasPrefix(name, "test/documentation/") {
			source.WriteString(text)
		}
	}
	tests, variables := set(`(?m)^func (Test\w+)\(`, all.String()), set(`\b(MINICLUSTER_[A-Z0-9_]+)\b`, source.String())
	for _, p := range pages(t) {
		for name := range set(`\b(Test[A-Z]\w+)`, fences.ReplaceAllString(p.text, "")) {
			assert.True(t, tests[name], "%s: test %s does not exist", p.name, name)
		}
		for name := range set(`\b(MINICLUSTER_[A-Z0-9_]+)\b`, p.text) {
			assert.True(t, variables[name], "%s: %s is not used", p.name, name)
		}
	}
	guide := read(t, contributing) + read(t, development)
	for name := range variables {
		if !strings.HasPrefix(name, "MINICLUSTER_TEST_") { // of a test that starts itself
			assert.Contains(t, guide, name, "an environment variable")
		}
	}
}

// textOf returns the pages of a folder.
func textOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range listed(t, dir+"/*.md") {
		if filepath.Dir(name) == dir {
			all.WriteString(read(t, name))
		}
	}
	return all.String()
}

// TestExamples checks that a page in the same or a parent folder names each file of an example.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, name := range listed(t, "examples/*.yaml", "examples/*.sh") {
		if filepath.Base(name) == "kustomization.yaml" {
			continue
		}
		named := false
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			named = named || strings.Contains(textOf(t, dir), filepath.Base(name))
		}
		assert.True(t, named, "no page names %s", name)
	}
}
