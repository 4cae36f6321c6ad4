package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestDrainRealFlux: the agent of a lead drains only ranks of this cluster, and reports which jobs it waits for.
func TestDrainRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		c := newFluxCluster(t, 4, 30)
		c.plan.Lead = plan.Program{Mode: plan.ModeNone, Tasks: 1}
		c.plan.Ranks = plan.RankMap{{Rank: 0, Count: 3}} // rank 3 bursts from another cluster
		client := c.startControlled(4)
		resize := func(size int) control.State {
			state, err := client.Resize(t.Context(), "127.0.0.1", 9561, size)
			require.NoError(t, err)
			return state
		}
		c.eventually("four free nodes", func() bool {
			out, _ := c.flux(0, "resource", "list", "-no", "{nnodes}", "-s", "free")
			return strings.TrimSpace(out) == "4"
		})
		begin := time.Now()
		limited, err := c.flux(0, "submit", "-t2h", "-N1", "--requires=rank:2", "sleep", "600")
		require.NoError(t, err, limited)
		unlimited, err := c.flux(0, "submit", "-N1", "--requires=rank:3", "sleep", "600")
		require.NoError(t, err, unlimited)
		var state control.State
		c.eventually("a job on rank 2", func() bool { state = resize(2); return state.Jobs > 0 })
		assert.Equal(t, "2", state.Leaving.String())
		assert.Equal(t, "2", state.Busy.String())
		require.Len(t, state.LastJobs, 1)
		assert.Equal(t, strings.TrimSpace(limited), state.LastJobs[0].ID)
		assert.InDelta(t, float64(begin.Add(2*time.Hour).Unix()), state.LastJobs[0].Expiration, 60)
		drained, err := c.flux(0, "resource", "drain", "-no", "{ranks}")
		require.NoError(t, err)
		assert.Equal(t, "2", strings.TrimSpace(drained), "rank 3 is of another cluster")

		_, err = c.flux(0, "cancel", strings.TrimSpace(limited))
		require.NoError(t, err)
		c.eventually("idle ranks", func() bool { return resize(2).Idle })
		assert.Equal(t, "2", resize(3).Returned.String())
	})
}
