package supervise

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestBeginOnce checks that a second record does not replace the first one, which has the former state of the queues.
func TestBeginOnce(t *testing.T) {
	v := New(&pod.Pod{Plan: &plan.Plan{}}, nil, nil, &prepare.Instance{})
	h := v.hibernation
	waking := func(reason string) *hibernate.Record {
		return &hibernate.Record{State: control.HibernateState{Phase: hibernate.PhaseWaking}, Queues: []hibernate.Queue{{Reason: reason}}}
	}
	require.ErrorIs(t, h.Begin(waking("")), errNotStarted)
	h.file, h.loaded = filepath.Join(t.TempDir(), "record"), true
	require.NoError(t, h.Begin(waking("first")))
	require.ErrorIs(t, h.Begin(waking("second")), errBegun)
	written, err := hibernate.Read(h.file)
	require.NoError(t, err)
	assert.Equal(t, "first", written.Queues[0].Reason)

	require.NoError(t, hibernate.Remove(h.file)) // the initial program has started the queues
	require.NoError(t, h.Begin(waking("third")))
	assert.Equal(t, "third", h.Record().Queues[0].Reason)
}
