package documentation_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	// links matches links of Markdown and of HTML.
	links = regexp.MustCompile(`\]\(([^) ]+)\)|(?:src|href)="([^"]+)"`)
)

// prose returns a Markdown text without its code.
func prose(text string) string {
	return spans.ReplaceAllString(fences.ReplaceAllString(text, ""), "")
}

// anchors returns the anchors of the headings of a Markdown text.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
		slug := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		found[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return found
}

// TestLinks checks that relative links of all Markdown files lead to files, and to headings in them.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, name := range listed(t, "*.md") {
		text := read(t, name)
		for _, match := range links.FindAllStringSubmatch(prose(text), -1) {
			link := match[1] + match[2]
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			target, anchor, _ := strings.Cut(link, "#")
			linked := name
			if target != "" {
				linked = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(root, linked)); !assert.NoError(t, err, "%s: link to %s", name, link) || anchor == "" {
				continue
			}
			assert.True(t, anchors(read(t, linked))[anchor], "%s: link to %s: the heading does not exist", name, link)
		}
	}
}

// TestContents checks that a table of contents at the beginning of a page is complete and in order, and that the
// README, or a page that it links to, links to each page.
func TestContents(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`(?m)^(?:- |\d+\. )\[([^\]]+)\]\(#[^)]*\)$`)
	section := regexp.MustCompile(`(?m)^## (.+)$`)
	reached := map[string]bool{"README.md": true}
	all := pages(t)
	for range 3 {
		for _, p := range all {
			if !reached[p.name] {
				continue
			}
			for target := range set(`\]\(([^)#:]+\.md)(?:#[^)]*)?\)`, p.text) {
				reached[filepath.Join(filepath.Dir(p.name), target)] = true
			}
		}
	}
	for _, p := range all {
		if strings.HasPrefix(p.name, "docs/") || strings.HasPrefix(p.name, "examples/") {
			assert.True(t, reached[p.name], "no page links to %s", p.name)
		}
		var parts, contents []string
		text := fences.ReplaceAllString(p.text, "")
		for _, match := range section.FindAllStringSubmatch(text, -1) {
			parts = append(parts, match[1])
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			contents = append(contents, strings.NewReplacer("`", "").Replace(match[1]))
		}
		if len(contents) == 0 {
			continue
		}
		for i := range parts {
			parts[i] = strings.TrimLeft(parts[i], "0123456789. ")
		}
		assert.Equal(t, parts, contents, p.name)
	}
}
