package gobuild

import (
	"bytes"
	"strings"
)

// tail keeps the last error messages of the go command, without the names of compiled packages.
type tail struct {
	lines   []string
	partial []byte
}

const tailLines = 40

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.partial = append(t.partial, p...)
	for {
		line, rest, found := bytes.Cut(t.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		t.partial = rest
		t.add(string(line))
	}
}

func (t *tail) add(line string) {
	if isPackage(line) {
		return
	}
	t.lines = append(t.lines, line)
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

// String returns the lines.
func (t *tail) String() string {
	lines := t.lines
	if len(t.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(t.partial))
	}
	return strings.Join(lines, "\n")
}

// isPackage distinguishes the lines that "go build -v" prints when it starts a package from others, which are
// sentences or begin with a "#".
func isPackage(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t#:")
}
