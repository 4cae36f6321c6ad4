package agent

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestMetricCommand runs the command in the pod of the lead broker and in that of a follower, which passes it on.
func TestMetricCommand(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	text, err := json.Marshal(p.plan)
	require.NoError(t, err)
	p.write(plan.ConfigDir+"/"+plan.FilePlan, string(text))
	dir := newAgent(p.root).File(pod.DirMetrics)
	run := func(args ...string) (string, int) {
		command := exec.CommandContext(t.Context(), os.Args[0], append([]string{"metric", "--root", p.root}, args...)...)
		command.Env = p.env
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		_ = command.Run() // the exit code is checked
		return out.String(), command.ProcessState.ExitCode()
	}
	out, code := run("set", "--local", "wanted", "12")
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "the agent of this pod does not serve metrics of the application")
	out, _ = run("set", "--expires=1m", "wanted", "12")
	assert.Contains(t, p.read("flux.log"), "exec --rank=0 -- "+os.Args[0]+" metric --root "+p.root+" set --local --expires 1m0s wanted 12", out)

	require.NoError(t, appmetric.Prepare(dir, -1, -1))
	for _, tc := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"set", "wanted", "12"}, 0, ""},
		{[]string{"set", "--expires", "1h", "progress", "0.5"}, 0, ""},
		{[]string{"set", "Wanted", "12"}, 1, "lower case letters"},
		{[]string{"set", "wanted"}, exitUsage, "usage:"},
		{[]string{"show"}, exitUsage, "usage:"},
		{nil, exitUsage, "usage:"},
	} {
		out, code := run(tc.args...)
		assert.Equal(t, tc.code, code, "%v: %s", tc.args, out)
		assert.Contains(t, out, tc.out)
	}
	values := appmetric.Read(dir, time.Now())
	require.Len(t, values, 2)
	assert.InDelta(t, .5, values[0].Value, 0)
	assert.WithinDuration(t, time.Now().Add(appmetric.DefaultExpiry), values[1].Expires, time.Minute)
	_, code = run("unset", "progress")
	assert.Equal(t, 0, code)
	assert.Len(t, appmetric.Read(dir, time.Now()), 1)
}
