package documentation_test

import (
	"cmp"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/test/framework/console"
)

// replayed lists the tests that run the commands of a page. TestReplay compares outputs literally. The others check
// the described behavior, because the outputs contain measurements of a real node.
var replayed = map[string]string{
	"README.md":                                                      "TestReplay",
	"examples/hello/README.md":                                       "TestFirstJob",
	"examples/scaling/basic/README.md":                               "TestReplay",
	"examples/scaling/expand/README.md":                              "TestReplay",
	"examples/elasticity/basic/README.md":                            "TestTutorialConsole",
	"examples/elasticity/python/README.md":                           "TestPythonTutorial",
	"examples/elasticity/horizontal-autoscaler/v1/README.md":         "TestTutorial",
	"examples/elasticity/horizontal-autoscaler/v2/README.md":         "TestTutorial",
	"examples/elasticity/horizontal-autoscaler/prometheus/README.md": "TestHTTPRequests",
	"examples/gallery/batch.md":                                      "TestRealGallery",
	"examples/gallery/ensemble.md":                                   "TestRealGallery",
	"examples/state/hibernate/README.md":                             "TestHibernation",
	"examples/opportunistic/README.md":                               "TestPreemption",
	"docs/install.md":                                                "TestInstallPage",
	"docs/nodes.md":                                                  "TestCommandsOfPages",
	"examples/queues/kueue/README.md":                                "TestKueueTutorial",
	"examples/queues/provisioning/README.md":                         "TestProvisioningRequest",
}

// marked begins the line in which a page says which of its commands were run.
var marked = regexp.MustCompile(`(?m)^\*\*Run:\*\* `)

// TestCommandsAreMarked checks that each page with commands is run by a test, or says which of its commands were run.
// The tests that it names exist.
func TestCommandsAreMarked(t *testing.T) {
	t.Parallel()
	tests := testNames(t)
	for _, p := range pages(t) {
		if len(console.Parse(p.text)) == 0 {
			continue
		}
		assert.True(t, tests[replayed[p.name]] || marked.MatchString(p.text), "%s does not say which of its commands were run (**Run:**)", p.name)
		for _, span := range p.spans {
			if strings.HasPrefix(span, "Test") && !strings.Contains(span, " ") {
				assert.True(t, tests[span], "%s: there is no %s", p.name, span)
			}
		}
	}
}

// testNames returns the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	var source strings.Builder
	for _, name := range listed(t, "*_test.go") {
		source.WriteString(read(t, name))
	}
	return set(`(?m)^func (Test\w+)\(`, source.String())
}

// TestReplayed checks that a test runs the commands of each page of the README and the tutorials that shows an
// output.
func TestReplayed(t *testing.T) {
	t.Parallel()
	tests := testNames(t)
	for _, name := range listed(t, "README.md", "examples/*.md") {
		for _, command := range console.Parse(read(t, name)) {
			test := replayed[name]
			if strings.HasPrefix(name, "examples/gallery/") {
				test = cmp.Or(test, "TestGalleryPages")
			}
			if command.Output != "" {
				assert.True(t, tests[test], "%s:%d: no test runs this command", name, command.Number)
			}
		}
	}
}
