package serve

import (
	"encoding/json"
	"net"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

func askCause(t *testing.T, o Options) plan.Cause {
	t.Helper()
	code, text := get(t, start(t, o)+plan.PathCause)
	require.Equal(t, 200, code)
	var cause plan.Cause
	require.NoError(t, json.Unmarshal([]byte(text), &cause))
	return cause
}

func TestCause(t *testing.T) {
	listener := listen(t)
	open := listener.Addr().String()
	gone := listen(t)
	closed := gone.Addr().String()
	gone.Close()
	_, port, err := net.SplitHostPort(open)
	require.NoError(t, err)

	for name, tc := range map[string]struct {
		state, parent string
		kind, part    string
	}{
		"online":                        {state: flux.StateRun},
		"its scripts run":               {state: "init", kind: plan.CauseBroker, part: "in state init"},
		"no such host":                  {state: flux.StateJoin, parent: "tcp://lead.invalid:8050", kind: plan.CauseName, part: "lead.invalid"},
		"no listener":                   {state: flux.StateJoin, parent: "tcp://" + closed, kind: plan.CauseNetwork, part: "no broker listens"},
		"the parent does not accept it": {state: flux.StateJoin, parent: "tcp://localhost:" + port, kind: plan.CauseLead, part: "certificate"},
		"no network at all":             {state: flux.StateJoin, parent: "ipc:///x", kind: plan.CauseBroker, part: "in state join"},
		"the broker does not report it": {state: flux.StateJoin, kind: plan.CauseBroker, part: "in state join"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attributes := map[string]string{}
			if tc.parent != "" {
				attributes["tbon.parent-endpoint"] = tc.parent
			}
			i := instance(t, fluxtest.Config{Rank: 1, Size: 2, Attrs: attributes})
			i.SetState(tc.state)
			cause := askCause(t, Options{Socket: i.URI(), User: -1})
			assert.Equal(t, tc.kind, cause.Kind, cause.Message)
			assert.Contains(t, cause.Message, tc.part)
		})
	}
}

// TestCauseWithoutBroker checks that the agent reports how the broker ended.
func TestCauseWithoutBroker(t *testing.T) {
	socket := (&url.URL{Scheme: "local", Path: filepath.Join(t.TempDir(), "local")}).String()
	cause := askCause(t, Options{Socket: socket, User: -1, Ended: func() string { return "it ended with exit code 1" }})
	assert.Equal(t, plan.CauseBroker, cause.Kind)
	assert.Contains(t, cause.Message, "no connection to the broker")
	assert.Contains(t, cause.Message, "it ended with exit code 1")
}
