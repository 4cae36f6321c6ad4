package agent

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestMetricCommand runs the command in the pod of the lead broker, and in that of a follower.
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
	out, code := run("set", "wanted", "12")
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "this is not the pod of the lead broker")

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

// TestMetricRealFlux sets a metric in the pod of a lead and in a job there, with the real Flux.
func TestMetricRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		c := newFluxCluster(t, 2, 30)
		c.plan.Lead = plan.Program{Mode: plan.ModeNone, Tasks: 1}
		c.startControlled(2)
		c.eventually("two free nodes", func() bool {
			out, _ := c.flux(0, "resource", "list", "-no", "{nnodes}", "-s", "free")
			return strings.TrimSpace(out) == "2"
		})
		set := []string{"env", envMain + "=1", "SHARED=" + c.dir, filepath.Join(c.dir, "agent"), "metric", "set"}
		out, err := c.inPod(t.Context(), 0, append(set, "wanted", "12")...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := c.flux(0, append([]string{"run", "-N1", "--requires=rank:0"}, append(set, "progress", "0.5")...)...)
		require.NoError(t, err, text)
		c.eventually("both metrics", func() bool {
			text := c.scrape("/metrics")
			return strings.Contains(text, `flux_application_metric{name="wanted"} 12`) && strings.Contains(text, `flux_application_metric{name="progress"} 0.5`)
		})
		out, err = c.inPod(t.Context(), 1, append(set, "wanted", "3")...).CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), "this is not the pod of the lead broker")
		c.signal(syscall.SIGTERM, 0, 1)
		c.wait(0)
	})
}
