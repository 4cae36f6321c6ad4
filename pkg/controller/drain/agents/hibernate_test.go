package agents

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// TestHibernation: answers are taken once, another request replaces one that waits, and failures are counted.
func TestHibernation(t *testing.T) {
	own, code := credentials(t), http.StatusOK
	l := newLab(t, func(w http.ResponseWriter, _ *http.Request) {
		if code != http.StatusOK {
			http.Error(w, "no", code)
			return
		}
		fmt.Fprint(w, `{"phase":"Draining","running":2,"fromTheFuture":1}`)
	}, own, own)
	request := control.Hibernate{Deadline: time.Unix(1_000_300, 0)}
	ask := func(request control.Hibernate) *HibernateAnswer {
		t.Helper()
		answer, ask, _ := l.client.TakeHibernation(key, "1", request)
		require.Nil(t, answer)
		require.True(t, ask)
		l.client.AskHibernation(key, "1", l.port, request)
		answer, ask, after := l.client.TakeHibernation(key, "1", request)
		require.True(t, answer == nil && !ask && after == 0, "the answer is still to come")
		l.run(t.Context())
		answer, _, _ = l.client.TakeHibernation(key, "1", request)
		require.NotNil(t, answer)
		return answer
	}
	assert.Equal(t, control.HibernateState{Phase: control.PhaseDraining, Running: 2}, ask(request).State)
	assert.Len(t, l.woken, 1)

	l.client.PauseHibernation(key, "1", time.Second)
	_, due, after := l.client.TakeHibernation(key, "1", request)
	assert.False(t, due)
	assert.Equal(t, time.Second, after)
	_, due, _ = l.client.TakeHibernation(key, "1", control.Hibernate{Cancel: true})
	assert.True(t, due, "another request does not wait")

	code = http.StatusServiceUnavailable
	answer := ask(request)
	assert.True(t, answer.Reached && !answer.Permanent && answer.Failures == 1)
	l.clock.Step(time.Minute)
	code = http.StatusNotFound
	answer = ask(request)
	assert.True(t, answer.Permanent, "an agent of an earlier release")
	assert.Equal(t, 2, answer.Failures)
	assert.Equal(t, time.Minute, answer.Failing)

	answer = l.client.FailHibernation(key, "1", request, assert.AnError)
	assert.False(t, answer.Reached)
	_, ip := l.client.Connection(key, "1")
	assert.Empty(t, ip, "another pod may be the lead")
}
