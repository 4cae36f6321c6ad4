package prepare

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// A hook that connects to another instance must not make the broker a part of that.
func TestHooksKeepTheInstance(t *testing.T) {
	env := map[string]string{
		"FLUX_URI": "local:///elsewhere", "FLUX_JOB_ID": "1", "FLUX_JOB_ID_PATH": "/1", "FLUX_KVS_NAMESPACE": "job-1", "FLUX_ENCLOSING_ID": "1",
		"fluxsocket": "local:///elsewhere", "FLUX_OUTPUT_DIR": "/mine", "PATH": "/bin",
	}
	(&Instance{plan: systemPlan()}).keepOwn(t.Context(), env)
	assert.Equal(t, map[string]string{"fluxsocket": "local:///run/flux/local", "FLUX_OUTPUT_DIR": "/mine", "PATH": "/bin"}, env)

	env = map[string]string{"fluxsocket": "mine"}
	(&Instance{plan: systemPlan(func(p *plan.Plan) { p.Broker.DisableSocket = true })}).keepOwn(t.Context(), env)
	assert.Empty(t, env)
	(&Instance{plan: systemPlan()}).keepOwn(t.Context(), env)
	assert.Empty(t, env, "a hook may remove it")
}
