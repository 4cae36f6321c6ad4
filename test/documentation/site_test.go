package documentation_test

import (
	"html"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onSite returns the pages of the site: all but those for GitHub.
func onSite(t *testing.T) []string {
	t.Helper()
	return listed(t, "*.md", ":!.github")
}

// TestSiteMounts checks that the configuration of the site includes each page.
func TestSiteMounts(t *testing.T) {
	t.Parallel()
	sources := set(`(?m)^source = "\.\./\.\./(.*)"$`, read(t, "hack/site/hugo.toml"))
	require.NotEmpty(t, sources)
	for _, name := range onSite(t) {
		found := sources[name]
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			found = found || sources[dir]
		}
		assert.True(t, found, "hack/site/hugo.toml does not include %s", name)
	}
}

// TestSite checks the site that "make site" has built: each page is on it and is found by its search, and its links
// lead to files, and to headings in them.
func TestSite(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MINICLUSTER_SITE")
	if dir == "" {
		t.Skip("MINICLUSTER_SITE names no site; make site builds one")
	}
	search := readFile(t, filepath.Join(dir, "search.js"))
	for _, name := range onSite(t) {
		built := strings.TrimSuffix(name, ".md") + ".html"
		assert.FileExists(t, filepath.Join(dir, built))
		found := strings.Contains(search, `"url":"`+built+`"`)
		assert.True(t, found, "the search has no %s", built) // its text is too long to print
	}
	checked := 0
	err := filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(file, ".html") {
			checked += checkSiteLinks(t, file)
		}
		return err
	})
	require.NoError(t, err)
	assert.Greater(t, checked, 1000)
}

// checkSiteLinks checks the relative links of a page of the site, and returns their number.
func checkSiteLinks(t *testing.T, file string) int {
	t.Helper()
	checked := 0
	for _, match := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(readFile(t, file), -1) {
		link := html.UnescapeString(match[1])
		if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
			continue
		}
		checked++
		name, anchor, _ := strings.Cut(link, "#")
		target := file
		if name != "" {
			target = filepath.Join(filepath.Dir(file), filepath.FromSlash(name))
		}
		if assert.FileExists(t, target, "%s: link to %s", file, link) && anchor != "" {
			exists := strings.Contains(readFile(t, target), `id="`+anchor+`"`)
			assert.True(t, exists, "%s: link to %s: the heading does not exist", file, link)
		}
	}
	return checked
}
