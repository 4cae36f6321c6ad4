package hibernate_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// Flux restores all drains from the archive. Those for nodes of earlier pods must not remain.
func TestUndrainRanks(t *testing.T) {
	i, err := fluxtest.NewInstance(fluxtest.Config{Size: 8, Cores: 2})
	require.NoError(t, err)
	t.Cleanup(i.Close)
	i.Drain(flux.IDs(1), control.NodeDrain{Node: "one", Reason: "the node is cordoned"}.Text())
	i.Drain(flux.IDs(2, 3), control.NodeDrain{Node: "two", Reason: "rack 3 is moved"}.Text())
	i.Drain(flux.IDs(4), control.Reason)
	i.Drain(flux.IDs(5), "broken fan")
	i.Drain(flux.IDs(6), control.ReasonPodStops)
	i.Drain(flux.IDs(7), control.ReasonPodStops)
	client, err := flux.Dial(t.Context(), i.URI(), flux.AsUser(-1))
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	require.NoError(t, hibernate.UndrainRanks(t.Context(), client))
	assert.Equal(t, map[uint32]string{5: "broken fan"}, i.Drained())
}
