package agent

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// unusualEnvironments are scripts that run before the agent, in the directory ROOT: what container runtimes, images and
// administrators may impose.
func unusualEnvironments() map[string]string {
	return map[string]string{
		"few open files":         "ulimit -n 24",
		"limited files":          "ulimit -f 2048",
		"limited address space":  "ulimit -v 4000000",
		"small stack":            "ulimit -s 256",
		"no mode for others":     "umask 077",
		"no mode at all":         "umask 777",
		"no standard input":      "exec <&-",
		"no standard streams":    "exec <&- >&- 2>&-",
		"full standard output":   "exec >/dev/full",
		"ignored signals":        "trap '' TERM INT HUP QUIT USR1 USR2 PIPE CHLD",
		"removed directory":      "mkdir $ROOT/gone; cd $ROOT/gone; rmdir $ROOT/gone",
		"few variables":          "unset HOME USER LOGNAME SHELL TERM LANG",
		"variables of shells":    "export IFS=/ POSIXLY_CORRECT=1 CDPATH=/ ENV=/etc/passwd BASH_ENV=/etc/passwd LC_ALL=tr_TR.UTF-8",
		"large environment":      "export LARGE=$(head -c 120000 /dev/zero | tr '\\0' x)",
		"no temporary directory": "export TMPDIR=/nonexistent",
		"full temporary files":   "export TMPDIR=$ROOT/full; mkdir $TMPDIR; mount -t tmpfs -o size=4k,nr_inodes=2 none $TMPDIR; : >$TMPDIR/file",
		"no termination log":     "rm $ROOT/dev/termination-log; mkdir $ROOT/dev/termination-log",
	}
}

// TestUnusualEnvironments runs a program until its end, and stops another one.
func TestUnusualEnvironments(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a file system")
	}
	start := func(t *testing.T, script, program string) *testPod {
		t.Helper()
		p := newPod(t)
		p.prefix = []string{"sh", "-c", "ROOT=$FAKE_ROOT; " + script + "\n" + `exec "$@"`, "sh"}
		p.sys = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		p.plan.Hooks.Pre = "true"
		p.plan.Archive.Path = "/volume/archive.tar"
		p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, program
		p.start("run")
		return p
	}
	for name, script := range unusualEnvironments() {
		t.Run(name+", end", func(t *testing.T) {
			t.Parallel()
			p := start(t, script, "sh -c 'exit 3'; exit 3")
			assert.Equal(t, 3, p.wait())
			assert.NotContains(t, p.stderr.String(), "goroutine ")
			assert.Empty(t, p.processes(), "processes remain")
		})
		t.Run(name+", stop", func(t *testing.T) {
			t.Parallel()
			p := start(t, script, "trap 'echo saved >$FAKE_ROOT/saved; exit 0' TERM; touch $FAKE_ROOT/started; while :; do sleep 0.05; done")
			p.eventually("the program", func() bool { _, err := os.Stat(p.path("started")); return err == nil })
			assert.Equal(t, plan.ExitStopped, p.terminate())
			assert.Equal(t, "saved\n", p.read("saved"))
			assert.NotContains(t, p.stderr.String(), "goroutine ")
			assert.Empty(t, p.processes(), "processes remain")
		})
	}
}
