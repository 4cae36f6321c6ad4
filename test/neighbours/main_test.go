package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/neighbours/results"
)

func TestRead(t *testing.T) {
	var out strings.Builder
	passed, failed, err := read(&out, strings.NewReader(`{"Action":"output","Test":"TestB/part","Output":"why\n"}
{"Action":"fail","Test":"TestB/part"}
{"Action":"fail","Test":"TestB","Elapsed":1.5}
{"Action":"pass","Test":"TestC"}
{"Action":"skip","Test":"TestD"}
{"Action":"pass","Test":"TestA"}
{"Action":"fail"}
`))
	require.NoError(t, err)
	assert.Equal(t, []string{"TestA", "TestC"}, passed)
	assert.Equal(t, []string{"TestB", "TestD"}, failed, "a test that is skipped did not pass")
	assert.Contains(t, out.String(), "why\n   fail TestB (1.5 s)\n")
	_, _, err = read(&out, strings.NewReader("# compile error"))
	assert.Error(t, err)
}

// TestReadToTheEnd checks that go test can end although its output is not what it should be: it waits for a reader.
func TestReadToTheEnd(t *testing.T) {
	for _, line := range []string{"# compile error\n", strings.Repeat("x", 2<<20) + "\n"} {
		text := strings.NewReader(line + strings.Repeat("more\n", 1000))
		_, _, err := read(&strings.Builder{}, text)
		require.Error(t, err)
		assert.Zero(t, text.Len())
	}
}

// TestProgramsOfSuites checks that each suite has a program.
func TestProgramsOfSuites(t *testing.T) {
	names := []string{}
	for _, p := range programs() {
		names = append(names, p.Name)
	}
	for _, s := range results.Suites() {
		assert.Contains(t, names, s.Neighbour)
	}
	assert.ErrorContains(t, run(t.Context(), &strings.Builder{}, "kueue,x"), `unknown neighbour "x"`)
}
