//go:build linux && (amd64 || arm64)

package shutdown

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// earlySignals is the number of signals of TestEarlySignals. Without the entry, 1 of about 8 ends the program with exit
// code 2.
const earlySignals = 60

// TestEarlySignals stops the agent, as the first process of a namespace, as early as a signal can arrive: the exit code
// is never that of the Go runtime.
func TestEarlySignals(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	program := filepath.Join(t.TempDir(), "minicluster-agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-E="+EntrySymbol, "-o", program, "../../../cmd/minicluster-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	for n := range earlySignals {
		sig := []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, SystemdStop, syscall.SIGUSR1, syscall.SIGWINCH}[n%6]
		cmd := exec.CommandContext(t.Context(), program, "run", "--root="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
		_ = cmd.Process.Signal(sig) // the agent may have ended
		_ = cmd.Wait()
		codes := []int{210} // without a plan, the preparation fails
		if n%6 < 4 {
			codes = append(codes, 143)
		}
		assert.Contains(t, codes, cmd.ProcessState.ExitCode(), sig.String())
	}
}
