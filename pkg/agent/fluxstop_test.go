package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// checkpointTask writes a checkpoint when it is asked to stop, which takes a while.
const checkpointTask = `trap 'sleep $((1 + FLUX_TASK_RANK * 2)); echo saved >>$SHARED/rank-$FLUX_TASK_RANK; exit 0' TERM; touch $SHARED/started-$FLUX_TASK_RANK; while :; do sleep 0.1; done`

// TestStopRealCluster: every task on every rank gets SIGTERM once, and time for a checkpoint; then the instance is saved.
func TestStopRealCluster(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		for name, mode := range map[string]plan.Mode{"launcher": plan.ModeLauncher, "submit": plan.ModeSubmit, "interactive": plan.ModeNone} {
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
				begin = time.Now()
				c.signal(syscall.SIGTERM, 0, 1, 2, 3)
				for i := range 4 {
					assert.Equal(t, plan.ExitStopped, c.wait(i), "pod %d", i)
				}
				t.Logf("MEASURED %s: stopped after %v", name, time.Since(begin).Round(time.Millisecond))
				for rank := range 4 {
					assert.Equal(t, "saved\n", c.read(fmt.Sprintf("rank-%d", rank)), "rank %d", rank)
				}
				if mode != plan.ModeNone {
					assert.FileExists(t, filepath.Join(c.dir, "archive.tar.gz"))
				}
			})
		}
	})
}
