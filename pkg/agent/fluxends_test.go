package agent

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// exists reports whether a file exists in the shared directory.
func (c *fluxCluster) exists(name string) bool { return pod.Exists(filepath.Join(c.dir, name)) }

// launcher makes the lead run a command.
func launcher(command string) plan.Program {
	return plan.Program{Mode: plan.ModeLauncher, Tasks: 1, Command: command}
}

// TestFullVolumeRealFlux checks that the end of the program counts although the volume of the broker is full.
func TestFullVolumeRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		c := newFluxCluster(t, 1, 60)
		c.plan.Lead = launcher("mount -o remount,size=$(($(df --output=used -k /run | tail -1) + 256))k /run || exit 4; " +
			"! dd if=/dev/zero of=/run/fill bs=4k 2>$SHARED/dd || exit 5; exit 3")
		c.start(0)
		assert.Equal(t, 3, c.wait(0))
		assert.Contains(t, c.read("dd"), "No space left on device")
	})
}

// TestForwardedSignalsRealFlux is TestForwardedSignals with the installed Flux.
func TestForwardedSignalsRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		c := newFluxCluster(t, 1, 60)
		c.plan.Lead = launcher("sh -c \"trap 'touch $SHARED/usr1' USR1; trap 'exit 6' USR2; touch $SHARED/ready; " +
			"while :; do sleep 0.05; done\"; exit $?")
		c.start(0)
		c.eventually("a program", func() bool { return c.exists("ready") })
		c.signal(syscall.SIGWINCH, 0)
		c.signal(syscall.SIGUSR1, 0)
		c.eventually("USR1", func() bool { return c.exists("usr1") })
		c.signal(syscall.SIGUSR2, 0)
		assert.Equal(t, 6, c.wait(0))
	})
}

// TestModuleFailureRealFlux checks that the end of the scheduler, for example because memory is exhausted, is not the
// end of the work, and that the next broker runs jobs although the archive was written at the end of the first one. The
// scheduler of some versions is a thread.
func TestModuleFailureRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		c := newFluxCluster(t, 1, 60)
		c.plan.Archive.Path = filepath.Join(c.dir, "archive.tar")
		c.plan.Lead = launcher("[ ! -e $SHARED/first ] || { flux run -n1 true || exit 8; exit 7; }; touch $SHARED/first; pid=$(pgrep -f '[s]ched-simple.py') || exit 9; kill -9 $pid; sleep 1000")
		c.start(0)
		code := c.wait(0)
		if code == 9 {
			t.Log("MEASURED nothing: the scheduler of this Flux is not a process")
			return
		}
		assert.Equal(t, 7, code)
		assert.Contains(t, c.read("log-0"), "Restarting the lead broker")
	})
}
