package plugin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestSplitJSON checks the numbers of lines, and that the parts of a long stream are not longer than it.
func TestSplitJSON(t *testing.T) {
	assert.Equal(t, []part{{[]byte(`{"a":1}`), 0}, {[]byte("{\n}"), 2}, {[]byte(`{}`), 3}},
		splitJSON([]byte("{\"a\":1}\n\n{\n}{}\n")))
	for _, text := range []string{"a: 1", "{a: 1}", `{"a":1} x`, ""} {
		assert.Equal(t, []part{{text: []byte(text)}}, splitJSON([]byte(text)), text)
	}
	const n = 20_000
	text := strings.Repeat("{\"a\":\n1}\n", n)
	length := 0
	parts := splitJSON([]byte(text))
	for i, p := range parts {
		length += len(p.text)
		assert.Equal(t, 2*i, p.before)
	}
	assert.Len(t, parts, n)
	assert.Less(t, length, len(text))
}

func TestShiftLines(t *testing.T) {
	assert.Equal(t, "yaml: line 3: x", shiftLines("yaml: line 3: x", 0))
	assert.Equal(t, "yaml: line 13: already set in line 12, newline 1", shiftLines("yaml: line 3: already set in line 2, newline 1", 10))
	assert.Equal(t, map[int][]string{0: {`line 8: key "a" already set in line 7: remove one of them`}}, duplicateKeys([]byte("a: 1\na: 2"), 6))
	huge := fmt.Sprintf("line %s", strings.Repeat("9", 30))
	assert.Equal(t, huge, shiftLines(huge, 1), "no number of a line")
}
