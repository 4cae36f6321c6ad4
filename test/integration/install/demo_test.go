package install_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// TestDemoThatDoesNotStart checks that a demo whose local Kubernetes does not start leaves nothing, and does not claim
// that it runs, even if it should be kept. The go command, which would start it, fails.
func TestDemoThatDoesNotStart(t *testing.T) {
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "hack"), 0o755))
	for _, script := range []string{"hack/demo.sh", "hack/goflags.sh"} {
		content, err := os.ReadFile(filepath.Join(root, script))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, script), content, 0o755))
	}
	programs := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(programs, "go"), []byte("#!/bin/sh\necho no space >&2\nexit 1\n"), 0o755))

	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "hack/demo.sh"))
	cmd.Env = append(os.Environ(), "KEEP=1", "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "no space")
	assert.Contains(t, string(out), "The demo FAILED")
	assert.NotContains(t, string(out), "still running")
	assert.NotContains(t, string(out), "\x1b", "no escape codes in a file")
	assert.NoDirExists(t, filepath.Join(dir, ".demo"))
}
