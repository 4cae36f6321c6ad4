package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// duplicateKeys returns an error for each key that a mapping of a YAML or JSON text has more than once. kubectl uses
// the last one silently. Of a list of objects, each item has its errors under its number, from 1 on; all others are
// under 0. A key that a merge ("<<") inserts is no duplicate: that of the mapping itself takes precedence. before is
// the number of lines before the text.
func duplicateKeys(text []byte, before int) map[int][]string {
	var root yaml.Node
	if yaml.Unmarshal(text, &root) != nil || len(root.Content) == 0 {
		return nil // another parser has accepted the text, or reports why not
	}
	found := map[int][]string{}
	item := 0
	var visit func(n *yaml.Node, depth int)
	visit = func(n *yaml.Node, depth int) {
		if n.Kind != yaml.MappingNode {
			for _, child := range n.Content { // an alias has none: its anchor is visited
				visit(child, depth+1)
			}
			return
		}
		first := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if line, ok := first[key.Value]; ok && key.Kind == yaml.ScalarNode {
				found[item] = append(found[item], fmt.Sprintf("line %d: key %q already set in line %d: remove one of them", before+key.Line, key.Value, before+line))
			}
			first[key.Value] = key.Line
			if depth == 0 && key.Value == "items" && value.Kind == yaml.SequenceNode {
				for index, child := range value.Content {
					item = index + 1
					visit(child, depth+1)
				}
				item = 0
				continue
			}
			visit(value, depth+1)
		}
	}
	visit(root.Content[0], 0)
	return found
}

// part is one of several values in a text.
type part struct {
	text []byte
	// before is the number of lines before it.
	before int
}

// splitJSON returns the values of a text that consists of one or several JSON values, as kubectl reads them. It returns
// any other text as it is.
func splitJSON(text []byte) []part {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return []part{{text: text}}
	}
	var values []part
	decoder := json.NewDecoder(bytes.NewReader(text))
	lines, counted := 0, int64(0)
	for {
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return values
		case err != nil:
			return []part{{text: text}}
		}
		start := decoder.InputOffset() - int64(len(value))
		lines += bytes.Count(text[counted:start], []byte("\n"))
		counted = start
		values = append(values, part{text: value, before: lines})
	}
}

// lineNumber finds the numbers of lines in errors of the YAML parser.
var lineNumber = regexp.MustCompile(`\bline (\d+)`)

// shiftLines adds the number of lines before a text to the numbers of lines in an error about it.
func shiftLines(message string, before int) string {
	if before == 0 {
		return message
	}
	return lineNumber.ReplaceAllStringFunc(message, func(found string) string {
		number, err := strconv.Atoi(strings.TrimPrefix(found, "line "))
		if err != nil {
			return found
		}
		return fmt.Sprintf("line %d", before+number)
	})
}
