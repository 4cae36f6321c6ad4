package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// duplicateKeys returns an error for each key that a mapping of a YAML or JSON text has more than once. kubectl uses
// the last one silently. Of a list of objects, each item has its errors under its number, from 1 on; all others
// are under 0. A key that a merge ("<<") inserts is no duplicate: that of the mapping itself takes precedence.
func duplicateKeys(text []byte) map[int][]string {
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
				found[item] = append(found[item], fmt.Sprintf("line %d: key %q already set in line %d: remove one of them", key.Line, key.Value, line))
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

// splitJSON returns the values of a text that consists of one or several JSON values, as kubectl reads them. It returns
// any other text as it is.
func splitJSON(text []byte) [][]byte {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return [][]byte{text}
	}
	var values [][]byte
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return values
		case err != nil:
			return [][]byte{text}
		}
		before := strings.Count(string(text[:decoder.InputOffset()-int64(len(value))]), "\n")
		// Empty lines keep the numbers of lines in messages.
		values = append(values, append(bytes.Repeat([]byte("\n"), before), value...))
	}
}
