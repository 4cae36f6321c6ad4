// Package console replays the console blocks of documents: it reads the commands and the outputs that a page shows,
// runs the commands, and compares what they print. Only values that differ in each run are patterns.
package console

import (
	"encoding/json"
	"regexp"
	"strings"
)

// Command is a command of a page with the output that the page shows.
type Command struct {
	// Number is the line of the command in the page.
	Number int
	// Line is the command, of several lines if they end with a backslash.
	Line string
	// Output is empty if the page shows none.
	Output string
}

// Parse returns the commands in the console blocks of a Markdown text. A line that begins with "== " is a title.
func Parse(text string) []Command {
	var all []Command
	inside, open, number := false, false, 0
	for line := range strings.Lines(text) {
		number++
		command, begins := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside, open = strings.TrimSpace(line) == "```console", false
		case !inside:
		case strings.HasPrefix(line, "== "):
			open = false
		case begins:
			all, open = append(all, Command{Number: number, Line: strings.TrimSuffix(command, "\n")}), true
		case !open:
		case strings.HasSuffix(all[len(all)-1].Line, `\`):
			all[len(all)-1].Line += "\n" + strings.TrimSuffix(line, "\n")
		default:
			all[len(all)-1].Output += line
		}
	}
	return all
}

// variable are values that differ in each run, with their replacements.
var variable = []struct {
	expression *regexp.Regexp
	name       string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`-curve-[0-9a-f]{8}\b`), "-curve-UID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`"resourceVersion":"\d+"`), `"resourceVersion":"N"`},
	// The suffix of a pod of a Job, and of a pod of a Deployment.
	{regexp.MustCompile(`\b([a-z-]+-\d+)-[bcdfghjklmnpqrstvwxz2456789]{5}\b`), "$1-SUFFIX"},
	{regexp.MustCompile(`\b(\d+[smhd])+\b`), "AGE"},
	{regexp.MustCompile(`\d+%/`), "N%/"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(` ?\n`), "\n"},
}

// Normalize replaces the values in an output that differ in each run, and normalizes columns and JSON.
func Normalize(output string) string {
	output = strings.TrimSpace(output)
	var object any
	if strings.HasPrefix(output, "{") && json.Unmarshal([]byte(output), &object) == nil {
		if text, err := json.Marshal(object); err == nil {
			output = string(text)
		}
	}
	for _, v := range variable {
		output = v.expression.ReplaceAllString(output, v.name)
	}
	return output
}

// Repeatable reports whether a command only reads, so that it can be repeated until its output is the one in the
// page.
func Repeatable(line string) bool {
	return !regexp.MustCompile(`\bkubectl (?:apply|create|delete|patch|scale|annotate|label|exec|run)\b`).MatchString(line)
}
