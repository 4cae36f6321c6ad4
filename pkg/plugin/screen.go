package plugin

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is the terminal of an output. Both numbers are 0 if the output is no terminal.
type screen struct{ width, height int }

// screenOf returns the size of the terminal now: users change it while a command runs.
func screenOf(stream any) screen {
	file, ok := stream.(*os.File)
	if !ok {
		return screen{}
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return screen{}
	}
	return screen{width, height}
}

// isLive reports whether the cursor of an output can be moved.
func isLive(stream any) bool { return isTerminal(stream) && os.Getenv("TERM") != "dumb" }

// escape matches what sets colors.
var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

// visible returns the number of columns of a text.
func visible(text string) int { return utf8.RuneCountInString(escape.ReplaceAllString(text, "")) }

// narrowest is the width below which text is not wrapped.
const narrowest = 30

// wrap breaks lines that are longer than the terminal between words, and indents what follows as far as the text of the
// line begins.
func (s screen) wrap(text string) string {
	if s.width < narrowest {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(s.wrapLine(strings.TrimSuffix(line, "\n")))
		out.WriteByte('\n')
	}
	return out.String()
}

// labelWidth is the column at which the text of a labelled line of a report begins.
const labelWidth = 14

// labelled matches the beginning of a line of a report, after which its text begins.
var labelled = regexp.MustCompile(`^(  [A-Z][A-Za-z ]{0,10} +|  (?:\x1b\[\d+m)?[! ](?:\x1b\[0m)? |` +
	`(?:\x1b\[\d+m)?(?:ok     |unknown|PROBLEM)(?:\x1b\[0m)?  \S+ +| *)`)

func (s screen) wrapLine(line string) string {
	if visible(line) <= s.width {
		return line
	}
	label := visible(labelled.FindString(line))
	if label < labelWidth {
		label += 2 // the line has none
	}
	indent := strings.Repeat(" ", min(label, s.width/2))
	var out strings.Builder
	column := 0
	for word := range strings.SplitAfterSeq(line, " ") {
		length := visible(strings.TrimSuffix(word, " "))
		if column > len(indent) && column+length > s.width {
			out.WriteString("\n" + indent)
			column = len(indent)
		}
		out.WriteString(word)
		column += visible(word)
	}
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// cut returns as many lines of a text as the terminal has, and then the number of the others in a format.
func (s screen) cut(text, others string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if s.height < 3 || len(lines) < s.height {
		return text
	}
	// The cursor needs a line, too.
	return strings.Join(lines[:s.height-2], "") + fmt.Sprintf(others, len(lines)-s.height+2) + "\n"
}

// crop shortens the lines of a table to the width of the terminal.
func (s screen) crop(text string) string {
	if s.width < narrowest {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if visible(line) > s.width {
			line = string([]rune(escape.ReplaceAllString(line, ""))[:s.width-1]) + "…"
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}
