package plugin

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A dump is a file only if it is complete; restore passes the file to Flux.
func TestDumpAndRestore(t *testing.T) {
	mc := sample()
	f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 4), 4), mc)...)
	f.executor.answers = map[string]string{
		strings.Join(dumpArguments(), " "):            "archive",
		strings.Join(restoreArguments("before"), " "): "",
	}
	file := filepath.Join(t.TempDir(), "sample.tar")
	assert.Equal(t, "minicluster/sample: 7 bytes saved to "+file+"\n", f.must("dump", "sample", file))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "archive", string(content))
	assert.Equal(t, "archive", f.must("dump", "sample", "-"))
	assert.Contains(t, f.must("restore", "sample", file, "--key=before"), "restored below the key before")
	assert.Equal(t, "archive", f.executor.stdin)

	f.executor.answers = nil
	_, err = f.run("dump", "sample", file)
	require.EqualError(t, err, "flux dump: no such command")
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, left, 1, "the file from before, and nothing else")
	_, err = f.run("restore", "sample", file+".none")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestDumpWithFlux runs the commands of dump and restore in an instance of the real Flux.
func TestDumpWithFlux(t *testing.T) {
	flux, err := exec.LookPath("flux")
	if err != nil {
		t.Skip("no flux in the PATH")
	}
	script := "flux kvs put answer=42 && flux " + strings.Join(dumpArguments(), " ") + " >archive && flux " +
		strings.Join(restoreArguments("before"), " ") + " <archive && flux kvs get before.answer"
	cmd := exec.CommandContext(t.Context(), flux, "start", "sh", "-c", script)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "42\n")
}
