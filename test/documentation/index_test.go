package documentation_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers has, for each reader of the index, the questions and words of their answers.
var answers = map[string]map[string]string{
	"Researchers": {
		"How do I run a program on N nodes?":                  "-N2",
		"How do I run a thousand small jobs?":                 "`flux submit` creates a thousand jobs",
		"How do I run MPI?":                                   "without `mpirun`",
		"How do I use GPUs?":                                  "nvidia.com/gpu",
		"How does my program get its data?":                   "claims, Secrets, ConfigMaps",
		"How does my program change the size of its cluster?": "it writes `spec.size`",
		"What happens to my jobs when the cluster shrinks?":   "they get no new jobs",
		"Do my jobs survive a restart, or a pause?":           "pending jobs survive the loss of the node of the lead",
		"Which image do I need?":                              "the image of your program needs no Flux",
		"Why does nothing start?":                             "checks the API, the controller and its lease",
	},
	"Platform engineers": {
		"How do I install it, also with Helm?":              "kubectl apply -k manifests/default",
		"Which rights does it need, and can it have fewer?": "with a Role instead of the ClusterRole",
		"What can a user reach through a MiniCluster?":      "what a user can try",
		"How do projects share the nodes?":                  "`kueue.x-k8s.io/queue-name`",
		"How do I autoscale clusters on their queue?":       "`spec.autoscaling` makes the controller create",
		"What do I monitor?":                                "PodMonitor `minicluster-agents`",
		"How do I upgrade and roll back?":                   "An upgrade does not affect running MiniClusters",
		"How do I drain a node?":                            "kubectl drain NODE",
		"What does the operator cost with many clusters?":   "make scale N=",
		"How do I move from flux-operator?":                 "custom resource definition **must remain**",
	},
	"Contributors": {
		"How do I add a field?":                 "It takes five edits",
		"Where do I change what?":               "| to change | edit |",
		"How do I run the tests?":               "`make unit`",
		"How do I test without a cluster?":      "`test/kube` builds the control plane",
		"How do I test with the real Flux?":     "if one is on PATH",
		"How does a reconciliation work?":       "a sequence of steps over one state",
		"How does a size become pods?":          "before* its first request to the agent",
		"What does the agent do, and why?":      "| decision | reason |",
		"How many requests may an action cost?": "| event | requests |",
		"How is a release made?":                "`make release VERSION=",
	},
}

// TestIndex follows the links of the index of the documentation, and checks that each of its three readers finds the
// answers to ten questions behind them.
func TestIndex(t *testing.T) {
	t.Parallel()
	index := read(t, "docs/README.md")
	row := regexp.MustCompile(`(?m)^\| ([A-Z][^|]*\?) \| (\[[^|]*) \|$`)
	for reader, want := range answers {
		text, found := sectionOf(index, "#"+strings.ReplaceAll(strings.ToLower(reader), " ", "-"))
		require.True(t, found, reader)
		assert.Contains(t, index, "- ["+reader+"](#", "the contents of the index")
		asked := map[string]bool{}
		for _, match := range row.FindAllStringSubmatch(text, -1) {
			asked[match[1]] = true
			assert.Contains(t, follow(t, "docs", match[2]), want[match[1]], "%s: %s", reader, match[1])
		}
		assert.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(asked)), reader)
		assert.Len(t, asked, 10, reader)
	}
}

// follow returns what the links of a text show.
func follow(t *testing.T, dir, text string) string {
	t.Helper()
	var shown strings.Builder
	for _, match := range links.FindAllStringSubmatch(text, -1) {
		target, anchor, _ := strings.Cut(match[1], "#")
		page := read(t, filepath.Join(dir, target))
		if anchor != "" {
			section, found := sectionOf(page, "#"+anchor)
			require.True(t, found, match[1])
			page = section
		}
		shown.WriteString(page)
	}
	return strings.ReplaceAll(shown.String(), "\n", " ")
}

// sectionOf returns the text from a heading up to the next one of the same level, by the anchor of the heading.
func sectionOf(page, anchor string) (string, bool) {
	marks := regexp.MustCompile(`(?m)^(#+) +.+$`)
	all := marks.FindAllStringSubmatchIndex(page, -1)
	for i, at := range all {
		if !anchors(page[at[0]:at[1]])[anchor[1:]] {
			continue
		}
		end := len(page)
		for _, next := range all[i+1:] {
			if next[3]-next[2] <= at[3]-at[2] {
				end = next[0]
				break
			}
		}
		return page[at[0]:end], true
	}
	return "", false
}
