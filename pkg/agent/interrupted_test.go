package agent

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

// TestInterruptedLead: the node of the lead is interrupted, with its state on a volume, while a job runs and others are
// pending. The lead is evicted after the drain timeout, or is lost without a notice. The next lead runs each pending
// job once. The job that ran is stopped, ends in an exception, and does not run again.
func TestInterruptedLead(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		for name, sig := range map[string]syscall.Signal{"evicted": syscall.SIGTERM, "lost": syscall.SIGKILL} {
			t.Run(name, func(t *testing.T) {
				s := newSleeper(t, 2, 2, true)
				s.online()
				running := s.run("submit", "-N2", "--exclusive", "sh", "-c",
					"trap 'echo told >>"+s.dir+"/told; exit 1' TERM; echo started >>"+s.dir+"/started; while :; do sleep 0.1; done")
				s.eventually("a running job", func() bool { return strings.Count(s.read("started"), "\n") == 2 })
				pending := append(s.submit(3, "-N1"), s.submit(1, "-N2")...)

				node := control.NodeDrain{Node: "spot-1", Reason: "the node has the taint aws-node-termination-handler/spot-itn", Indexes: flux.IDs(0)}
				state, err := s.client.Drain(t.Context(), "127.0.0.1", int(control.Port(s.plan.HTTPPort)), control.Drain{Nodes: []control.NodeDrain{node}})
				require.NoError(t, err)
				assert.Equal(t, "0", state.Busy.String(), "the lead runs a job")
				if sig == syscall.SIGKILL {
					s.checkpoint(len(pending))
				}
				s.signal(sig, 0)
				s.wait(0)
				if sig == syscall.SIGTERM && strings.Contains(t.Name(), "/real/") { // the stand-in has no job shell
					assert.Contains(t, s.read("told"), "told\n", "the job")
				}
				assert.Empty(t, s.ran(), "pending jobs do not start while the lead stops")

				s.start(0) // on another node
				s.eventually("an undrained lead", func() bool {
					state, err := s.client.Drain(t.Context(), "127.0.0.1", int(control.Port(s.plan.HTTPPort)), control.Drain{})
					return err == nil && state.Free.Contains(0)
				})
				s.eventually("all pending jobs", func() bool { return len(s.ran()) >= len(pending) })
				s.eventually("their end", func() bool {
					out, err := s.flux(0, "jobs", "-no", "{id}")
					return err == nil && strings.TrimSpace(out) == ""
				})
				assert.Equal(t, sorted(pending), s.ran(), "each runs once")
				assert.Equal(t, 2, strings.Count(s.read("started"), "\n"), "the job that ran has two tasks, which ran once")
				assert.Contains(t, []string{"FAILED", "CANCELED"}, s.run("jobs", "-no", "{status}", running))
			})
		}
	})
}

// checkpoint waits until the volume has the state of all jobs that submit has submitted.
func (s *sleeper) checkpoint(jobs int) {
	s.t.Helper()
	s.eventually("a checkpoint", func() bool {
		var text strings.Builder
		files, err := filepath.Glob(filepath.Join(s.plan.StateVolume, "content.sqlite*"))
		require.NoError(s.t, err)
		for _, file := range files {
			content, _ := os.ReadFile(file)
			text.Write(content)
		}
		if root, err := s.flux(0, "kvs", "getroot", "--blobref"); err == nil {
			return strings.Contains(text.String(), strings.TrimSpace(root))
		}
		return strings.Count(text.String(), "FLUX_JOB_ID") >= jobs // the stand-in has no KVS
	})
}
