package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	o, err := parse(nil)
	require.NoError(t, err)
	assert.Equal(t, 300, o.N)
	o, err = parse([]string{"-n", "5", "--singles=9"})
	require.NoError(t, err)
	assert.Equal(t, 5, o.Singles, "no more than there are")
	for _, args := range [][]string{{"-n", "0"}, {"--rounds=0"}, {"--workers=-1"}, {"what"}, {"--unknown"}} {
		_, err := parse(args)
		assert.Error(t, err, "%q", args)
	}
}

func TestQuantile(t *testing.T) {
	assert.Zero(t, quantile(nil, 0.5))
	values := []float64{4, 1, 3, 2}
	assert.InDelta(t, 1, quantile(values, 0), 1e-9)
	assert.InDelta(t, 2.5, quantile(values, 0.5), 1e-9)
	assert.InDelta(t, 4, quantile(values, 1), 1e-9)
	assert.Equal(t, []float64{4, 1, 3, 2}, values, "it leaves the values as they are")
}

func TestParseUsage(t *testing.T) {
	stat := []byte("42 (a name) with (parens) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 9 0 100 200 300\n")
	u, err := parseUsage(stat, []byte("Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"))
	require.NoError(t, err)
	assert.Equal(t, usage{CPU: 1750 * time.Millisecond, RSS: 1 << 20, PeakRSS: 2 << 20}, u)
	_, err = parseUsage([]byte("nothing"), nil)
	assert.Error(t, err)
}

func TestWorth(t *testing.T) {
	counts := map[string]int{"watch jobs": 3, "update leases": 9, "patch jobs": 1}
	assert.Equal(t, map[string]int{"patch jobs": 1}, worth(counts))
	assert.Len(t, counts, 3, "it leaves the counts as they are")
}

func TestPrint(t *testing.T) {
	r := newResults(&options{N: 10, Rounds: 1, Singles: 1})
	var out strings.Builder
	require.NoError(t, r.print(&out))
	assert.Empty(t, out.String(), "nothing was measured")

	r.took(operatorTurn, "all Jobs exist", 3*time.Second)
	r.took(rawTurn, "all Jobs exist", 2*time.Second)
	r.Latency[operatorTurn], r.Latency[rawTurn] = []float64{0.010}, []float64{0.005}
	r.countRequests(phaseCreate, map[string]int{"create jobs": 10, "watch jobs": 1})
	r.use(operatorTurn, phaseCreate, usage{}, usage{CPU: time.Second, RSS: 30 << 20})
	require.NoError(t, r.print(&out))
	for _, line := range []string{
		`all Jobs exist +3.00 s +2.00 s +1.50`,
		`median +10.0 ms +5.0 ms +2.00`,
		`create jobs +10 +0`,
		`all, for each MiniCluster +1.00`,
		`CPU, create +1.00 s`,
	} {
		assert.Regexp(t, line, out.String())
	}
}
