package agent

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCommandLine checks that help goes to the standard output and succeeds, and that an unknown command results in
// one line.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		args           []string
		stdout, stderr string
		code           int
	}{
		{name: "help", args: []string{"--help"}, stdout: usage},
		{name: "help as a command", args: []string{"help"}, stdout: usage},
		{name: "no command", stderr: usage, code: exitUsage},
		{
			name: "unknown command", args: []string{"flx", "--", "jobs"}, code: exitUsage,
			stderr: "minicluster-agent: unknown command \"flx\": use one of flux, install, view, run, initial, sidecar, save-state, flux-client, metric\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			require.NoError(t, err)
			command := exec.CommandContext(t.Context(), program, test.args...)
			command.Env = append(os.Environ(), envMain+"=1", quickExit)
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			err = command.Run()
			assert.Equal(t, test.code, command.ProcessState.ExitCode(), "%v", err)
			assert.Equal(t, test.stdout, stdout.String())
			assert.Equal(t, test.stderr, stderr.String())
		})
	}
}
