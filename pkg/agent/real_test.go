package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// envRealFlux is set when the test binary is the initial program of a real instance.
const envRealFlux = "AGENT_TEST_IN_FLUX"

// TestNastyCommandsWithFlux runs nastyCommands in every mode in a real instance of Flux.
func TestNastyCommandsWithFlux(t *testing.T) {
	if os.Getenv(envRealFlux) != "" {
		nastyInFlux(t)
		return
	}
	if _, err := exec.LookPath("flux"); err != nil {
		t.Skip("Flux is not installed")
	}
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	cmd := exec.CommandContext(t.Context(), "flux", "start", "-o,-Slog-stderr-level=-1", os.Args[0], "-test.run=^TestNastyCommandsWithFlux$", "-test.v")
	cmd.Env = append(os.Environ(), envRealFlux+"=1")
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--- PASS: TestNastyCommandsWithFlux")
}

func nastyInFlux(t *testing.T) {
	p := newPod(t)
	p.env = append(os.Environ(), envMain+"=1", quickExit)
	run := func(lead plan.Program) (string, int) {
		lead.Tasks = 1
		p.plan.Size, p.plan.Lead, p.plan.Logging.Quiet = 1, lead, true
		if lead.Script != "" {
			require.NoError(t, newAgent(p.root).WriteFile(pod.FileScript, shellsplit.Script(lead.Script), 0o755))
		}
		require.NoError(t, pod.ReserveOutcome(p.path("program.json"), nil))
		code := p.run("initial", "--state", t.TempDir(), "--outcome", p.path("program.json"), "--cluster", "x", "--fresh")
		return p.stdout.String(), code
	}
	t.Chdir(p.root)
	for _, command := range nastyCommands {
		want := printed(t, command)
		for _, lead := range []plan.Program{
			{Mode: plan.ModeLauncher, Command: command},
			{Mode: plan.ModeSubmit, Command: command},
			{Mode: plan.ModeSubmit, Script: command},
		} {
			got, code := run(lead)
			assert.Equal(t, want, got, "%s %q", lead.Mode, command)
			assert.Zero(t, code, "%s %q", lead.Mode, command)
		}
		got, code := run(plan.Program{Mode: plan.ModeBatch, BatchRaw: true, Command: command})
		assert.Empty(t, got, "batch %q", command)
		assert.Zero(t, code, "batch %q", command)
		files, err := filepath.Glob(p.path("flux-*.out"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		assert.Equal(t, want, p.read(filepath.Base(files[0])), "batch %q", command)
		require.NoError(t, os.Remove(files[0]))
	}
	for mode, want := range map[plan.Mode]int{plan.ModeLauncher: 3, plan.ModeSubmit: 3} {
		_, code := run(plan.Program{Mode: mode, Command: "exit 3"})
		assert.Equal(t, want, code)
	}
	// Each line is a job; the batch job fails if one of them fails.
	p.env = append(p.env, "FLUX_OUTPUT_DIR="+p.path("out"))
	require.NoError(t, os.Mkdir(p.path("out"), 0o755))
	_, code := run(plan.Program{Mode: plan.ModeBatch, Command: "echo 'a  b'\n\necho $FLUX_TASK_RANK"})
	assert.Zero(t, code)
	assert.Equal(t, "a  b\n", p.read("out/job-0.out"))
	assert.Equal(t, "\n", p.read("out/job-2.out"), "each line is a part of a script")
	_, code = run(plan.Program{Mode: plan.ModeBatch, Command: "true\nfalse\ntrue"})
	assert.Equal(t, 1, code)
	_, code = run(plan.Program{Mode: plan.ModeBatch, BatchRaw: true, Command: "exit 6"})
	assert.Equal(t, 6, code)
}
