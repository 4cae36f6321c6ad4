package serve

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// memoryHibernation keeps the record in memory.
type memoryHibernation struct {
	record *hibernate.Record
}

func (m *memoryHibernation) Record() *hibernate.Record {
	if m.record == nil {
		return nil
	}
	return new(*m.record)
}

func (m *memoryHibernation) Begin(r *hibernate.Record) error            { return m.Update(r) }
func (m *memoryHibernation) Stopped(context.Context, *hibernate.Record) {}
func (m *memoryHibernation) Update(r *hibernate.Record) error           { m.record = new(*r); return nil }
func (m *memoryHibernation) Save(r *hibernate.Record) error             { return m.Update(r) }
func (m *memoryHibernation) Wake() (bool, error)                        { return false, nil }
func (m *memoryHibernation) End() error                                 { m.record = nil; return nil }

// TestHibernateSettles checks that the state is not saved earlier than jobs that the scheduler was about to start when
// the queues were stopped are seen, even if the first request ended while it waited for them.
func TestHibernateSettles(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 1, Cores: 2})
	h := &memoryHibernation{}
	client, addr := controlledWith(t, Options{Socket: i.URI(), Hibernation: h})
	request := func(ctx context.Context) (control.HibernateState, error) {
		return client.Hibernate(ctx, addr.IP.String(), addr.Port, control.Hibernate{})
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := request(ctx)
	require.Error(t, err)
	var state control.HibernateState
	require.Eventually(t, func() bool { // the server may have noticed neither the request nor its end
		state, err = request(t.Context())
		return err == nil
	}, patience, 10*time.Millisecond)
	assert.Equal(t, control.PhaseSaving, state.Phase)
	assert.Greater(t, time.Since(begin), settleTime)
}

// TestRecent checks that an attempt whose time is in the future, because the clock was set back, does not prevent the
// next one.
func TestRecent(t *testing.T) {
	now := time.Now()
	h := hibernation{now: now}
	assert.False(t, h.recent(time.Time{}, time.Minute))
	assert.True(t, h.recent(now.Add(-time.Second), time.Minute))
	assert.False(t, h.recent(now.Add(-time.Hour), time.Minute))
	assert.False(t, h.recent(now.Add(time.Hour), time.Minute))
}
