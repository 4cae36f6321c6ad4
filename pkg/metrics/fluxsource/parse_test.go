package fluxsource

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestParse reads what the agent's own golden file says an agent says.
func TestParse(t *testing.T) {
	text, err := os.ReadFile("../../agent/serve/testdata/metrics.txt")
	require.NoError(t, err)
	values, at, err := parse(strings.NewReader(string(text)), table())
	require.NoError(t, err)
	assert.False(t, at.IsZero())
	for i, m := range table() {
		assert.False(t, math.IsNaN(values[i]), "%s: the agent has no %s %s", m.name, m.family, m.state)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "not from an agent of a lead broker",
		"flux_up 0\n":               "lead broker does not respond",
		"flux_up{a=\"b\"} 1\n":      "not from an agent of a lead broker",
		"hello, this is not it\n":   "parsing the metrics of its agent",
		"flux_up 1\nflux_nodes_up{": "parsing the metrics of its agent",
	} {
		_, _, err := parse(strings.NewReader(text), table())
		assert.ErrorContains(t, err, want, "%q", text)
	}
	values, at, err := parse(strings.NewReader("flux_up 1\nflux_nodes_up 3\n"), table())
	require.NoError(t, err)
	assert.True(t, at.IsZero())
	assert.InDelta(t, 3, values[0], 0)
	assert.True(t, math.IsNaN(values[1]), "an older agent does not know it")
}

func FuzzParse(f *testing.F) {
	f.Add("flux_up 1\nflux_jobs{state=\"run\"} 2\nflux_last_update_timestamp_seconds 17e8\n")
	f.Add("# TYPE flux_up counter\nflux_up 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		values, _, err := parse(strings.NewReader(text), table())
		if err == nil && len(values) != len(table()) {
			t.Fatalf("%d values", len(values))
		}
	})
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range table() {
		assert.False(t, seen[m.name], m.name)
		seen[m.name] = true
	}
}
