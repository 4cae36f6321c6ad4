package resources

import (
	"regexp"
	"slices"
	"strings"
)

// shellText is what a shell reads in a text: enough to warn, and not a parser.
type shellText struct {
	// words are separated by blanks and line breaks; quotes are removed.
	words []string
	// operator is the first character outside quotes that connects or redirects commands, 0 if there is none.
	operator byte
	// open is the quote that is not closed, 0 if there is none or if only a parser could find it.
	open byte
}

// readShell reads a text as a shell does.
func readShell(text string) shellText {
	var out shellText
	var word strings.Builder
	inWord, nested, substitutions := false, false, 0
	end := func() {
		if inWord {
			out.words = append(out.words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && out.open != '\'' && i+1 < len(text):
			i++
			if text[i] != '\n' {
				word.WriteByte(text[i])
				inWord = true
			}
		case out.open == 0 && c == '$' && strings.HasPrefix(text[i+1:], "'"):
			nested, inWord = true, true // bash has other rules for it
		case out.open == '"' && (c == '`' || c == '$' && strings.HasPrefix(text[i+1:], "(")):
			nested = true // quotes in it are those of another text
			word.WriteByte(c)
		case out.open != 0 && c == out.open:
			out.open = 0
		case out.open != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			out.open, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			end()
		case c == '#' && !inWord:
			line, _, _ := strings.Cut(text[i:], "\n")
			i += len(line) - 1
		default:
			switch {
			case c == '(' && strings.HasSuffix(text[:i], "$"):
				substitutions++ // its operators are those of another command
			case c == ')' && substitutions > 0:
				substitutions--
			case out.operator == 0 && substitutions == 0 && strings.IndexByte("|&;<>", c) >= 0:
				out.operator = c
			}
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	if nested {
		out.open = 0
	}
	return out
}

// hereDocument matches the beginning of a here-document, whose end is a line with the word.
var hereDocument = regexp.MustCompile(`(?:^|[^<])<<-?[ \t]*(?:'([^']+)'|"([^"]+)"|\\?([A-Za-z_][\w.-]*))`)

// withoutHereDocuments empties the lines of here-documents, which are data for the shell.
func withoutHereDocuments(script string) string {
	if !strings.Contains(script, "<<") {
		return script
	}
	lines := strings.Split(script, "\n")
	numbers := map[string][]int{} // of lines, by their text: a script may have many here-documents without an end
	for i, line := range lines {
		line = strings.TrimSpace(line)
		numbers[line] = append(numbers[line], i)
	}
	for i := 0; i < len(lines); i++ {
		if strings.HasPrefix(strings.TrimSpace(lines[i]), "#") || strings.Contains(lines[i], "((") {
			continue // a comment, or arithmetic
		}
		for _, found := range hereDocument.FindAllStringSubmatch(lines[i], -1) {
			word := found[1] + found[2] + found[3]
			ends := numbers[word]
			next, _ := slices.BinarySearch(ends, i+1)
			if next == len(ends) {
				continue
			}
			for i < ends[next] {
				i++
				lines[i] = ""
			}
		}
	}
	return strings.Join(lines, "\n")
}
