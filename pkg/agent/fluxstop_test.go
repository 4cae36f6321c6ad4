package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// checkpointTask writes a checkpoint when it is asked to stop, which takes a while.
const checkpointTask = `trap 'sleep $((1 + FLUX_TASK_RANK * 2)); echo saved >>$SHARED/rank-$FLUX_TASK_RANK; exit 0' TERM; touch $SHARED/started-$FLUX_TASK_RANK; while :; do sleep 0.1; done`

// TestStopRealCluster checks that every task on every rank gets SIGTERM once, with time for a checkpoint, and that
// the instance is saved afterwards.
func TestStopRealCluster(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		const suspended = "suspended"
		for name, mode := range map[string]plan.Mode{
			"launcher": plan.ModeLauncher, "submit": plan.ModeSubmit, "interactive": plan.ModeNone, suspended: plan.ModeSubmit,
		} {
			t.Run(name, func(t *testing.T) {
				c := newFluxCluster(t, 4, 60)
				require.NoError(t, os.WriteFile(filepath.Join(c.dir, "task"), []byte("#!/bin/sh\n"+checkpointTask+"\n"), 0o755))
				task := filepath.Join(c.dir, "task")
				c.plan.Lead = plan.Program{Mode: mode, Tasks: 4, Command: task}
				if mode == plan.ModeLauncher {
					c.plan.Lead.Command = "flux run -N4 -n4 " + task
				}
				if mode != plan.ModeNone {
					c.plan.Archive.Path = filepath.Join(c.dir, "archive.tar.gz")
				}
				begin := time.Now()
				for i := range 4 {
					c.start(i)
				}
				if mode == plan.ModeNone {
					c.eventually("an instance", func() bool { out, err := c.flux(0, "submit", "-N4", "-n4", task); return err == nil && out != "" })
				}
				c.eventually("tasks", func() bool {
					for rank := range 4 {
						if _, err := os.Stat(filepath.Join(c.dir, fmt.Sprintf("started-%d", rank))); err != nil {
							return false
						}
					}
					return true
				})
				t.Logf("MEASURED %s: tasks run %v after the start", name, time.Since(begin).Round(time.Millisecond))
				if name == suspended {
					c.suspendJobs(task, 4)
				}
				begin = time.Now()
				c.signal(syscall.SIGTERM, 0, 1, 2, 3)
				for i := range 4 {
					assert.Equal(t, plan.ExitStopped, c.wait(i), "pod %d", i)
				}
				t.Logf("MEASURED %s: stopped after %v", name, time.Since(begin).Round(time.Millisecond))
				for rank := range 4 {
					assert.Equal(t, "saved\n", c.read(fmt.Sprintf("rank-%d", rank)), "rank %d", rank)
				}
				assert.Contains(t, c.read("log-0"), `"The pod was asked to stop" signal="SIGTERM" gracePeriod="1m0s" reserve="12s"`)
				if mode != plan.ModeNone {
					assert.FileExists(t, filepath.Join(c.dir, "archive.tar.gz"))
					assert.Contains(t, c.read("log-0"), `"The program was stopped before it had ended"`)
				}
			})
		}
	})
}

// suspendJobs suspends all jobs, as a user may, and waits until so many tasks are suspended.
func (c *fluxCluster) suspendJobs(task string, tasks int) {
	c.t.Helper()
	out, err := c.flux(0, "job", "killall", "--force", "--signal=SIGSTOP")
	require.NoError(c.t, err, out)
	c.eventually("suspended tasks", func() bool {
		n := 0
		for _, pod := range c.pods {
			for _, pid := range descendants(pod.Process.Pid) {
				line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may have ended
				stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				if bytes.Contains(line, []byte(task)) && bytes.Contains(stat, []byte(") T ")) {
					n++
				}
			}
		}
		return n >= tasks
	})
}

// TestShutdownRealFlux checks that flux shutdown ends the cluster, with and without a program.
func TestShutdownRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		for name, lead := range map[string]plan.Program{
			"interactive": {Mode: plan.ModeNone, Tasks: 1}, "launcher": {Mode: plan.ModeLauncher, Tasks: 1, Command: "touch $SHARED/started; sleep 1000"},
		} {
			t.Run(name, func(t *testing.T) {
				c := newFluxCluster(t, 1, 60)
				c.plan.Lead = lead
				c.start(0)
				if lead.Mode != plan.ModeNone {
					c.eventually("a program", func() bool { _, err := os.Stat(filepath.Join(c.dir, "started")); return err == nil })
				}
				// Flux rejects the command while the instance starts.
				c.eventually("flux shutdown", func() bool { _, err := c.flux(0, "shutdown"); return err == nil })
				assert.Equal(t, 0, c.wait(0))
			})
		}
	})
}

// TestRestoreRealFlux checks that jobs of the same MiniCluster's program do not run again after a restore.
func TestRestoreRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		c := newFluxCluster(t, 1, 60)
		c.plan.Archive.Path = filepath.Join(c.dir, "archive.tar.gz")
		c.plan.Lead = plan.Program{Mode: plan.ModeLauncher, Tasks: 1, Command: "echo run >>$SHARED/runs; " +
			"flux submit -n1 sh -c 'echo $(wc -l <$SHARED/runs) >>$SHARED/jobs; sleep 1000'; flux submit -n999 false 2>/dev/null; flux submit --urgency=hold -n1 true; flux jobs -ano '{status}' | sort >$SHARED/states; sleep 1000"}
		for run := range 2 {
			require.NoError(t, os.RemoveAll(filepath.Join(c.dir, "states")))
			c.start(0)
			c.eventually("jobs", func() bool { return c.read("states") != "" && c.read("jobs") != "" })
			t.Logf("MEASURED run %d: states %q, jobs %q", run, c.read("states"), c.read("jobs"))
			c.signal(syscall.SIGTERM, 0)
			assert.Equal(t, plan.ExitStopped, c.wait(0))
			assert.FileExists(t, c.plan.Archive.Path)
		}
		assert.Equal(t, "1\n2\n", c.read("jobs"), "the job of the first run did not run again")
		assert.Contains(t, c.read("states"), "CANCELED", "the pending job of the first run")
	})
}

// TestRestorePendingRealFlux checks that a pending job of the same MiniCluster's program does not start between the
// restore and its cancellation.
func TestRestorePendingRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		c := newFluxCluster(t, 1, 20)
		c.plan.Archive.Path = filepath.Join(c.dir, "archive.tar")
		c.plan.Lead = launcher("[ ! -e $SHARED/busy ] || exit 7; " +
			"flux submit -N1 --exclusive sh -c 'trap \"\" TERM; touch $SHARED/busy; sleep 1000'; flux submit -n1 touch $SHARED/late; touch $SHARED/submitted; sleep 1000")
		c.start(0)
		c.eventually("jobs", func() bool { return c.exists("busy") && c.exists("submitted") })
		c.signal(syscall.SIGTERM, 0)
		assert.Equal(t, plan.ExitStopped, c.wait(0))
		assert.FileExists(t, c.plan.Archive.Path)
		assert.False(t, c.exists("late"), "it is pending")
		c.start(0)
		assert.Equal(t, 7, c.wait(0))
		assert.False(t, c.exists("late"), "it is canceled")
	})
}

// TestStopIdleRealCluster checks that an idle cluster stops at once, and logs the times.
func TestStopIdleRealCluster(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		for run := range 3 {
			c := newFluxCluster(t, 4, 60)
			c.plan.Lead = plan.Program{Mode: plan.ModeNone, Tasks: 1}
			begin := time.Now()
			for i := range 4 {
				c.start(i)
			}
			c.eventually("an instance", func() bool {
				out, err := c.flux(0, "overlay", "status", "--summary")
				return err == nil && strings.Contains(out, "full")
			})
			started := time.Since(begin)
			begin = time.Now()
			c.signal(syscall.SIGTERM, 0, 1, 2, 3)
			var follower time.Duration
			for i := range 4 {
				assert.Equal(t, plan.ExitStopped, c.wait(3-i), "pod %d", 3-i)
				if i == 2 {
					follower = time.Since(begin)
				}
			}
			t.Logf("MEASURED run %d: all brokers online after %v, followers ended after %v, the lead after %v", run,
				started.Round(time.Millisecond), follower.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
		}
	})
}
