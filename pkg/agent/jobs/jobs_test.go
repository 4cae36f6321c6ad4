package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

func TestWaitIdle(t *testing.T) {
	i, err := fluxtest.NewInstance(fluxtest.Config{Size: 4})
	require.NoError(t, err)
	defer i.Close()
	busy, err := WaitIdle(t.Context(), i.URI(), -1, nil)
	require.NoError(t, err)
	assert.False(t, busy)

	i.SetJobs(flux.Job{ID: 1, State: flux.JobRun, Ranks: flux.IDs(2), Nodes: 1})
	busy, err = WaitIdle(t.Context(), i.URI(), -1, new(uint32(1)))
	require.NoError(t, err)
	assert.False(t, busy, "another rank is busy")
	for _, rank := range []*uint32{nil, new(uint32(2))} {
		// A timeout that is too short to connect on a busy machine is an error.
		for timeout := time.Second; timeout <= time.Minute; timeout *= 2 {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			busy, err = WaitIdle(ctx, i.URI(), -1, rank)
			cancel()
			if err == nil {
				break
			}
		}
		require.NoError(t, err)
		assert.True(t, busy)
	}
	time.AfterFunc(50*time.Millisecond, func() { i.SetJobs() })
	busy, err = WaitIdle(t.Context(), i.URI(), -1, nil)
	require.NoError(t, err)
	assert.False(t, busy)

	_, err = WaitIdle(t.Context(), "local:///no/such/socket", -1, nil)
	assert.ErrorContains(t, err, "waiting for jobs")
}
