package agent

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestPreempted checks that pending jobs survive the end of all pods without a hibernation, as when Kueue preempts the
// cluster by suspending its Job: none starts while the pods stop, and each runs once when the same Job resumes.
func TestPreempted(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		for _, volume := range []bool{false, true} {
			t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
				s := newSleeper(t, 2, 2, volume)
				s.online()
				first, second := s.hold(1), s.hold(1) // one on each node
				ids := s.submit(20)
				s.remove()
				assert.Empty(t, s.ran(), "no job starts while the pods stop")

				s.again(2, 2, volume, "")
				s.eventually("all jobs", func() bool { return len(s.ran()) >= len(ids) })
				s.eventually("the end of the jobs", func() bool { return s.run("jobs", "-f", "running,pending", "-no", "{id}") == "" })
				assert.Equal(t, sorted(ids), s.ran(), "each pending job runs once, with its ID")
				for _, held := range []string{first, second} {
					assert.NotEqual(t, "COMPLETED", s.run("jobs", "-no", "{result}", held))
				}
			})
		}
	})
}

// TestStoppedAtItsEnd stops the pod after its program has ended, while the initial program has stopped the queues to
// save the instance. They are not recorded as stopped: a cluster that starts from the archive would run no job.
func TestStoppedAtItsEnd(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		s := &sleeper{fluxCluster: newFluxCluster(t, 1, 60)}
		s.configure(1, 1, false, "")
		s.plan.Lead = plan.Program{Mode: plan.ModeSubmit, Tasks: 1, Command: "sh -c 'touch $SHARED/started; while ! [ -e $SHARED/end ]; do sleep 0.1; done'"}
		s.startPods(1)
		s.online()
		// Before the other jobs, which take all cores and more.
		s.eventually("the program", func() bool { return s.exists("started") })
		for range runtime.NumCPU() + 1 {
			s.run("submit", "-n1", "sh", "-c", "trap '' TERM; touch "+s.dir+"/busy; while :; do sleep 1; done")
		}
		s.eventually("a job", func() bool { return s.exists("busy") })
		s.finish()
		s.eventually("an archive", func() bool { return s.exists("archive.tar.gz") })
		s.signal(syscall.SIGTERM, 0)
		assert.Equal(t, 0, s.wait(0), "the program's own code")
		assert.False(t, s.marker(), s.read("archive.tar.gz.hibernation"))
	})
}

// TestPreemptedKilled kills the pods while they stop, as when the grace period ends: with the state on a volume, the
// next lead starts the queues again, and no job is lost.
func TestPreemptedKilled(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := newSleeper(t, 1, 1, true)
		s.online()
		s.hold(1)
		ids := s.submit(3)
		s.eventually("a checkpoint", func() bool { return strings.Count(s.read("state/content.sqlite"), "FLUX_JOB_ID") == len(ids) })
		require.NoError(t, s.pods[0].Process.Signal(syscall.SIGTERM))
		s.eventually("stopped queues", s.marker)
		s.kill()
		s.startPods(1)
		s.eventually("all jobs", func() bool { return len(s.ran()) >= len(ids) })
		s.eventually("the end of the jobs", func() bool { return s.run("jobs", "-f", "running,pending", "-no", "{id}") == "" })
		assert.Equal(t, sorted(ids), s.ran())
		assert.False(t, s.marker())
	})
}
