package agent

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// openTerminal returns both ends of a new pseudoterminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return master, terminal
}

// TestTerminal stops a pod whose program is an interactive shell on a terminal. Such a shell ignores SIGTERM, and
// would be killed at the end of the grace period only.
func TestTerminal(t *testing.T) {
	t.Parallel()
	const (
		interactive = "interactive shell"
		job         = "command of an interactive shell" // in the foreground, in a separate process group
		plain       = "program without a shell"
	)
	programs := map[string]string{
		interactive: `sh -c 'touch $FAKE_ROOT/started; exec sh -i'`,
		job:         `sh -c 'exec sh -i'`,
		plain:       `sh -c 'trap "" HUP; trap "echo saved >$FAKE_ROOT/saved; exit 0" TERM; touch $FAKE_ROOT/started; while :; do sleep 0.05; done'`,
	}
	hangUp := syscall.Signal(0) // the end of the terminal
	for name, program := range programs {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, hangUp} {
			t.Run(fmt.Sprintf("%s, %v", name, sig), func(t *testing.T) {
				t.Parallel()
				master, terminal := openTerminal(t)
				p := newPod(t)
				p.plan.GracePeriodSeconds = 240 // longer than the patience of wait
				p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, program
				p.stdin, p.sys = terminal, &syscall.SysProcAttr{Setsid: true, Setctty: true}
				p.start("run")
				require.NoError(t, terminal.Close())
				if name == job {
					_, err := master.WriteString("touch $FAKE_ROOT/started; sleep 1000\n")
					require.NoError(t, err)
				}
				p.eventually("the program", func() bool { _, err := os.Stat(p.path("started")); return err == nil })
				if sig == hangUp {
					require.NoError(t, master.Close())
				} else {
					require.NoError(t, p.cmd.Process.Signal(sig))
				}
				assert.Equal(t, plan.ExitStopped, p.wait())
				assert.Empty(t, p.processes(), "processes remain")
				if name == plain {
					assert.Equal(t, "saved\n", p.read("saved"))
				}
			})
		}
	}
}

// TestSuspendedProgram stops a pod whose program is suspended. It continues, and writes its checkpoint.
func TestSuspendedProgram(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.GracePeriodSeconds = 60
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, `trap 'echo saved >$FAKE_ROOT/saved; exit 0' TERM; kill -STOP $$; sleep 1000`
	p.start("run")
	p.eventually("the program is suspended", func() bool {
		return slices.ContainsFunc(p.processes(), func(pid int) bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && strings.Contains(string(stat), ") T ")
		})
	})
	assert.Equal(t, plan.ExitStopped, p.terminate())
	assert.Equal(t, "saved\n", p.read("saved"))
}
