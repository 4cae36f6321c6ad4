package agent

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestPreStopTime checks that the grace period lacks the time from the start of the hook to the signal, whenever it is
// computed: what the agent does after the signal must not count twice.
func TestPreStopTime(t *testing.T) {
	at := time.Now().Add(-10 * time.Second) // the signal
	for name, test := range map[string]struct {
		hook, want time.Duration
		none       bool
	}{
		"no hook":                     {none: true},
		"a hook":                      {hook: -3 * time.Second, want: 3 * time.Second},
		"a hook of an earlier run":    {hook: -2 * time.Hour},
		"longer than the grace":       {hook: -30 * time.Minute, want: time.Minute},
		"the clock was set back":      {hook: 5 * time.Minute},
		"a hook with the next signal": {hook: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAgent(t.TempDir())
			require.NoError(t, os.MkdirAll(a.Path(plan.MarkerDir), 0o755))
			if !test.none {
				require.NoError(t, os.WriteFile(a.File(plan.FilePreStop), nil, 0o644))
				require.NoError(t, os.Chtimes(a.File(plan.FilePreStop), time.Time{}, at.Add(test.hook)))
			}
			elapsed := a.preStopTime(at.Add(-time.Hour))
			assert.Equal(t, test.want, elapsed(at).Round(time.Millisecond))
			assert.Equal(t, test.want, elapsed(at).Round(time.Millisecond), "it does not change")
		})
	}
}
