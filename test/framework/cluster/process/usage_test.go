package process

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseUsage(t *testing.T) {
	stat := []byte("42 (a name) with (parens) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 9 0 100 200 300\n")
	u, err := parseUsage(stat, []byte("Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"))
	require.NoError(t, err)
	assert.Equal(t, Usage{CPU: 1750 * time.Millisecond, RSS: 1 << 20, PeakRSS: 2 << 20}, u)
	_, err = parseUsage([]byte("nothing"), nil)
	assert.Error(t, err)
	u, err = UsageOf(os.Getpid())
	require.NoError(t, err)
	assert.LessOrEqual(t, u.RSS, u.PeakRSS)
}
