package documentation_test

import (
	"go/scanner"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// maximumLine is the length of the longest line of prose.
const maximumLine = 120

// idioms are phrases that readers of technical English stumble over, each with what to write instead.
var idioms = []struct{ phrase, instead string }{
	{`tells? whether`, `"reports whether"`},
	{`tells? of`, `"reports", "describes"`},
	{`(?:is|are|was|were) told`, `name who passes or reports what`},
	{`goes on`, `"continues"`},
	{`that which`, `"what", or name the thing`},
	{`what is (?:denied|known|asked|left)`, `name the thing: "rejected sizes", "the remaining nodes"`},
	{`put back`, `"reset", "restored"`},
	{`looked after`, `"managed"`},
	{`held by`, `"in use by", "owned by"`},
	{`comes back`, `"returns", "is recreated"`},
	{`(?:is|are) not there`, `"does not exist", "is missing"`},
	{`at hand`, `"available", "current"`},
	{`in the way`, `name the obstacle`},
	{`makes\b[^.;:,]{0,25}\bwait`, `"waits for", "blocks"`},
	{`what (?:others leave|is free for)`, `"free capacity", "headroom"`},
	{`giv(?:e|es|ing) way`, `"preemption"`},
	{`again and again`, `"repeatedly"`},
	{`for lack of`, `name the missing resource; "out of memory"`},
	{`web hook`, `"webhook"`},
	{`sits? an? .* out`, `"retries until"`},
	{`ours`, `name the owner: "of the controller"`},
	{`somebody(?: else)?|someone else`, `"a user", "another client"`},
	{`anybody|everybody|whoever`, `"anyone who", "every user"`},
	{`nobody (?:else|can|may|has|reads?|needs?|waits?|knows|asks?|listens?|follows?|touches)`, `"no user", "no other process"`},
	{`an? (?:\w+ ){1,2}of (?:its|their|one's) own`, `"its own", "separate"`},
	{`for good`, `"permanently"`},
	{`look(?:s|ed)? at`, `"inspects", "examines"`},
	{`in vain`, `name the failure`},
	{`(?:puts?|gives?|gave|given|brings?|brought|hands?|handed) (?:it |them )?back`, `"returns", "resets", "undrains"`},
	{`left over|left behind`, `"remaining", "orphaned"`},
	{`made again|ever made`, `"recreated", "created"`},
	{`(?:that|which) (?:is|are) none`, `"invalid"`},
	{`there is no such`, `"does not exist"`},
	{`(?:is|are|was|were) said to be`, `"is reported as"`},
	{`at work`, `"running"`},
	{`(?:is|are) no (?:error|failure|measure|proof|label|obstacle|path|folder|archive|bound|port)`, `"is not an error"`},
	{`lies in|lie in|lives beside|live beside`, `"is in", "runs beside"`},
	{`under way`, `"in progress"`},
	{`also (?:if|when|where|while|after)`, `"even if"`},
	{`the (?:smaller|larger|older|younger) one of`, `"the smaller of"`},
	{`plays? (?:this|it)`, `"runs this scenario"`},
	{`anew|afresh`, `"again"`},
	{`(?:less and less|more and more)`, `name the interval or the growth`},
	{`of (?:your|my) own`, `"your own", "another"`},
	{`all the same`, `delete, or "nevertheless"`},
	{`(?:is|are|was|were|nothing) said`, `name who reports what`},
	{`looked again`, `"at its next run"`},
}

// generated are files that tools write.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// passage is a piece of text for readers.
type passage struct {
	line int
	text string
}

// revised returns the files of the repository that match and are to be checked.
func revised(t *testing.T, patterns ...string) []string {
	t.Helper()
	var names []string
next:
	for _, name := range listed(t, patterns...) {
		for _, prefix := range []string{"pkg/generated/", "manifests/crd", "test/documentation/language_test.go", "docs/reference/api.md"} {
			if strings.HasPrefix(name, prefix) {
				continue next
			}
		}
		if !strings.Contains(name, "testdata/fuzz/") {
			names = append(names, name)
		}
	}
	return names
}

// goPassages returns the comments and the string literals of Go source. Adjacent line comments are one passage.
func goPassages(text string) []passage {
	var all []passage
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(text))
	var s scanner.Scanner
	s.Init(file, []byte(text), nil, scanner.ScanComments)
	lastComment := 0
	for {
		position, kind, literal := s.Scan()
		if kind == token.EOF {
			return all
		}
		line := file.Line(position)
		switch kind {
		case token.COMMENT:
			literal = strings.TrimPrefix(literal, "//")
			if len(all) > 0 && lastComment == line-1 {
				all[len(all)-1].text += " " + literal
			} else {
				all = append(all, passage{line, literal})
			}
			lastComment = line + strings.Count(literal, "\n")
		case token.STRING, token.CHAR:
			all = append(all, passage{line, literal})
			lastComment = 0
		}
	}
}

// linePassages returns the lines that an expression selects; adjacent ones are one passage.
func linePassages(text string, selected func(line string) (string, bool)) []passage {
	var all []passage
	last, number := -1, 0
	for line := range strings.Lines(text) {
		number++
		if prose, ok := selected(strings.TrimRight(line, "\n")); ok {
			if last == number-1 {
				all[len(all)-1].text += " " + prose
			} else {
				all = append(all, passage{number, prose})
			}
			last = number
		}
	}
	return all
}

// passages returns the texts for readers in a file, by its kind.
func passages(name, text string) []passage {
	switch filepath.Ext(name) {
	case ".go":
		return goPassages(text)
	case ".yaml", ".yml", ".toml":
		comment := regexp.MustCompile(`(?:^|\s)#(.*)$`)
		return linePassages(text, func(line string) (string, bool) {
			match := comment.FindStringSubmatch(line)
			if match == nil {
				return "", false
			}
			return match[1], true
		})
	default:
		blank := regexp.MustCompile(`^\s*$`)
		return linePassages(text, func(line string) (string, bool) {
			return strings.TrimLeft(line, "\t #"), !blank.MatchString(line)
		})
	}
}

// written are the files with texts for readers.
var written = []string{
	"*.go", "*.md", "*.yaml", "*.yml", "*.sh", "*.html", "*.gohtml", "*.tmpl", "*.js", "Makefile", ".ci/*", "*.svg",
}

// TestIdioms rejects phrases that are not plain technical English in comments, strings and documents.
func TestIdioms(t *testing.T) {
	t.Parallel()
	expressions, phrases := make([]*regexp.Regexp, len(idioms)), make([]string, len(idioms))
	for i, idiom := range idioms {
		expressions[i], phrases[i] = regexp.MustCompile(`(?i)\b(?:`+idiom.phrase+`)\b`), idiom.phrase
	}
	// One expression for all is several times as fast, and almost no passage matches.
	all := regexp.MustCompile(`(?i)\b(?:` + strings.Join(phrases, "|") + `)\b`)
	for _, name := range revised(t, written...) {
		text := read(t, name)
		if generated.MatchString(text) {
			continue
		}
		for _, p := range passages(name, text) {
			prose := strings.Join(strings.Fields(p.text), " ")
			if !all.MatchString(prose) {
				continue
			}
			for i, expression := range expressions {
				if at := expression.FindStringIndex(prose); at != nil {
					assert.Fail(t, "an idiom", "%s:%d: %q: write %s", name, p.line, around(prose, at), idioms[i].instead)
				}
			}
		}
	}
}

// around returns a match with some text before and after it.
func around(text string, at []int) string {
	return strings.ToValidUTF8(text[max(0, at[0]-30):min(len(text), at[1]+30)], "")
}

var (
	// unbreakable are parts of a line that have to stay in one piece.
	unbreakable = regexp.MustCompile(`\]\([^)]*\)|https?://\S+`)
	// directive is a comment for tools.
	directive = regexp.MustCompile(`^\s*//(?:go:|nolint| ?\+|line )`)
)

// tooLong returns the numbers of lines of prose that are too long.
func tooLong(name, text string) []int {
	var long []int
	number, code := 0, false
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		if filepath.Ext(name) == ".md" && strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		}
		if code || utf8.RuneCountInString(unbreakable.ReplaceAllString(line, "")) <= maximumLine {
			continue
		}
		comment := regexp.MustCompile(`^\s*#`)
		switch filepath.Ext(name) {
		case ".md":
			if !strings.HasPrefix(strings.TrimSpace(line), "|") {
				long = append(long, number)
			}
		case ".go":
			if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "//") && !directive.MatchString(line) {
				long = append(long, number)
			}
		default:
			if comment.MatchString(line) {
				long = append(long, number)
			}
		}
	}
	return long
}

// TestLineLength rejects long lines in documents and comments. Tables, code blocks and addresses may be longer.
func TestLineLength(t *testing.T) {
	t.Parallel()
	for _, name := range revised(t, "*.md", "*.go", "*.yaml", "*.yml", "*.sh", "Makefile", ".ci/*") {
		text := read(t, name)
		if generated.MatchString(text) {
			continue
		}
		for _, line := range tooLong(name, text) {
			assert.Fail(t, "a long line", "%s:%d has more than %d characters", name, line, maximumLine)
		}
	}
}
