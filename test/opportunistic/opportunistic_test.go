package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// story is a load that doubles after a minute, with one half that adapts at once and one that oscillates.
func story() []sample {
	var all []sample
	for second := range 120 {
		s := sample{second: second, paying: 8}
		if second >= 60 {
			s.paying = 16
		}
		good, bad := &s.halves[average], &s.halves[value]
		good.paying, bad.paying = s.paying, s.paying
		good.size = fits(s.paying)
		switch {
		case second < 2:
			good.size = 1
		case second >= 60 && second < 64:
			good.size, good.waiting = fits(8), 4
		}
		good.wanted, good.pods = good.size, good.size
		good.free = cores - otherCores - s.paying - good.size
		bad.size = 15 + second%2*100
		bad.free = cores - otherCores - s.paying - bad.size
		all = append(all, s)
	}
	return all
}

func TestJudge(t *testing.T) {
	verdicts := judge(story())
	good := verdicts[average]
	require.NoError(t, good.err())
	assert.Equal(t, 2, good.loads)
	assert.Equal(t, 2, good.seen)
	assert.Equal(t, 2, good.sizes)
	assert.Equal(t, fits(16), good.smallest)
	assert.Equal(t, fits(8), good.largest)
	assert.Equal(t, 4*time.Second, good.waited)
	assert.Equal(t, 16, good.starved)
	assert.Equal(t, 70, good.rests, "all seconds except 25 after each of two changes")
	assert.InDelta(t, target, good.low, 1e-9)
	assert.InDelta(t, target, good.high, 1e-9)

	bad := verdicts[value]
	require.ErrorContains(t, bad.err(), "the size changed 119 times, the load 2 times")
	require.ErrorContains(t, bad.err(), "in 52 of 70 s the fill level is not within 2% of 83.7%, but 28.8% to 87.5%")

	var out strings.Builder
	report(&out, verdicts)
	assert.Regexp(t, `changes of the size +119 +2\n`, out.String())
}

func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.csv")
	require.NoError(t, writeTable(path, story()))
	again, err := readTable(path)
	require.NoError(t, err)
	assert.Equal(t, story(), again)
	for text, want := range map[string]string{
		"":                     "is empty",
		"second\n1\n":          "has no column load_cores",
		"second,load_cores\nx": "wrong number of fields",
		"second\nmany\n":       `line 2: strconv.Atoi: parsing "many"`,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := readTable(path)
		require.ErrorContains(t, err, want)
	}
	_, err = readTable(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestCommitted checks that the plot in the documentation matches the table, and that the table meets the requirements.
func TestCommitted(t *testing.T) {
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	samples, err := readTable(filepath.Join(root, "docs", "data", "opportunistic.csv"))
	require.NoError(t, err)
	require.NoError(t, judge(samples)[average].err())
	drawn, err := plot(samples).Render()
	require.NoError(t, err)
	there, err := os.ReadFile(filepath.Join(root, "docs", "images", "opportunistic.svg"))
	require.NoError(t, err)
	assert.Equal(t, string(there), string(drawn), "draw it again: go run ./test/opportunistic --draw")

	for decoder := xml.NewDecoder(strings.NewReader(string(drawn))); ; {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestScenario(t *testing.T) {
	plan := steps()
	for i := range plan {
		end := length
		if i+1 < len(plan) {
			end = plan[i+1].at
		}
		assert.Greater(t, end, plan[i].at+settling, "step %d has time to settle", i)
		assert.Positive(t, fits(plan[i].paying*payingCores))
	}
}
