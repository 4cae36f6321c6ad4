package agents

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestPostponeHibernation: the time until the next attempt doubles, up to an hour, and is forgotten with the agent.
func TestPostponeHibernation(t *testing.T) {
	own := credentials(t)
	l := newLab(t, nil, own, own)
	var waits []time.Duration
	for range 8 {
		l.client.PostponeHibernation(key, "1", "full")
		reason, until, after := l.client.PostponedHibernation(key, "1")
		assert.Equal(t, "full", reason)
		assert.Equal(t, after, until.Sub(l.clock.Now()))
		waits = append(waits, after/time.Minute)
		l.clock.Step(after)
		_, _, after = l.client.PostponedHibernation(key, "1")
		assert.Zero(t, after)
	}
	assert.Equal(t, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}, waits)
	l.client.Forget(key)
	l.client.PostponeHibernation(key, "1", "full")
	_, _, after := l.client.PostponedHibernation(key, "1")
	assert.Equal(t, time.Minute, after)
}
