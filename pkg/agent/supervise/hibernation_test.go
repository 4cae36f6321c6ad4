package supervise

import (
	"os"
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

// TestBeginAfterTheProgram checks that queues that the initial program has stopped at the end of the program are not
// recorded as stopped before a hibernation: no job would run after it.
func TestBeginAfterTheProgram(t *testing.T) {
	v := New(&pod.Pod{Plan: &plan.Plan{}, Root: t.TempDir()}, nil, nil, &prepare.Instance{})
	h := v.hibernation
	h.file, h.loaded = filepath.Join(t.TempDir(), "record"), true
	require.NoError(t, os.MkdirAll(filepath.Dir(v.outcomeFile()), 0o755))
	require.NoError(t, pod.ReserveOutcome(v.outcomeFile(), nil))
	require.NoError(t, pod.WriteOutcome(v.outcomeFile(), pod.Outcome{Saving: true}))
	record := &hibernate.Record{State: control.HibernateState{Phase: control.PhaseDraining}}
	require.ErrorIs(t, h.Begin(record), errEnded)
	assert.NoFileExists(t, h.file)
	require.NoError(t, os.Remove(v.outcomeFile()))
	require.NoError(t, h.Begin(record))
}
