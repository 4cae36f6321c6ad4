package agents

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

func TestNodes(t *testing.T) {
	data, err := control.NewCredentials(host, time.Now())
	require.NoError(t, err)
	code := http.StatusOK
	l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, control.PathDrain, r.URL.Path)
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(control.DrainState{Busy: flux.IDs(3)})
	}, data, data)
	one := control.Drain{Nodes: []control.NodeDrain{{Node: "one", Reason: "r", Indexes: flux.IDs(3)}}}
	ask := func(request control.Drain) *NodesAnswer {
		_, due, _ := l.client.TakeNodes(key, "1", request)
		require.True(t, due)
		l.client.AskNodes(key, "1", "127.0.0.1", l.port, request)
		l.run(t.Context())
		answer, _, _ := l.client.TakeNodes(key, "1", request)
		require.NotNil(t, answer)
		return answer
	}
	assert.Equal(t, &NodesAnswer{State: control.DrainState{Busy: flux.IDs(3)}}, ask(one))
	l.client.PauseNodes(key, time.Minute)
	_, due, after := l.client.TakeNodes(key, "1", one)
	assert.False(t, due)
	assert.Equal(t, time.Minute, after)
	l.client.PauseNodes(key, 0)
	_, due, _ = l.client.TakeNodes(key, "1", one)
	assert.True(t, due, "ranks may have been undrained by a change of size")
	l.client.PauseNodes(key, time.Minute)
	l.client.SetNodesLead(key, "1", "127.0.0.1")
	_, due, _ = l.client.TakeNodes(key, "1", one)
	assert.False(t, due)
	l.client.SetNodesLead(key, "1", "127.0.0.2")
	_, due, _ = l.client.TakeNodes(key, "1", one)
	assert.True(t, due, "another lead may have lost its drains")
	assert.NoError(t, ask(control.Drain{}).Err, "another request is sent at once")

	code = http.StatusNotFound
	assert.True(t, ask(one).Unsupported, "an agent of an earlier release")
	code = http.StatusServiceUnavailable
	for i, wait := range []time.Duration{2 * time.Second, 4 * time.Second} {
		l.clock.Step(maxNodesInterval)
		answer := ask(one)
		assert.False(t, answer.Unsupported)
		assert.Error(t, answer.Err)
		assert.Equal(t, i+2, answer.Failures)
		_, due, after := l.client.TakeNodes(key, "1", one)
		assert.False(t, due)
		assert.Equal(t, wait, after)
	}
	assert.Len(t, l.woken, 5)
}
