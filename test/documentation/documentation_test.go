// Package documentation_test checks the repository's texts: links resolve; what is documented exists, and what exists
// is documented; outputs, language and line lengths follow the rules of CONTRIBUTING.md.
//
// A check reads the tables of a page by their headings. Names in the tables are in backquotes.
package documentation_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// Pages with tables that the tests read.
const (
	concepts      = "docs/concepts.md"
	operations    = "docs/operations.md"
	metricsAPI    = "docs/metrics.md"
	opportunistic = "docs/opportunistic.md"
	contributing  = "CONTRIBUTING.md"
	development   = "docs/development.md"
)

var (
	fences = regexp.MustCompile("(?ms)^```.*?^```")
	spans  = regexp.MustCompile("`([^`\n]+)`")
)

// page is a Markdown file.
type page struct {
	name string // from the root of the repository
	text string
	// spans are the pieces of code in its text.
	spans []string
}

// pages returns all Markdown files but the changelog, which also names what no longer exists.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, name := range listed(t, "*.md", ":!CHANGELOG.md") {
		p := page{name: name, text: read(t, name)}
		for _, match := range spans.FindAllStringSubmatch(fences.ReplaceAllString(p.text, ""), -1) {
			p.spans = append(p.spans, match[1])
		}
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

// listed returns the files of the repository that match patterns of git, sorted. It includes new files.
func listed(t *testing.T, patterns ...string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git",
		append([]string{"ls-files", "--cached", "--others", "--exclude-standard", "--"}, patterns...)...)
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Skip("not a git repository: ", err)
	}
	var names []string
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	return readFile(t, filepath.Join(root, name))
}

// readFile returns a file.
func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// set returns the matches of the first group of an expression in a text.
func set(expression, text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	return found
}
