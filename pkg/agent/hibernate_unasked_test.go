package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// preemptedWith returns a cluster whose pods have ended with pending jobs, as when a queue preempts it: no agent was
// asked to hibernate.
func preemptedWith(t *testing.T, volume bool, jobs int) (*sleeper, []string) {
	t.Helper()
	s := newSleeper(t, 1, 1, volume)
	s.online()
	s.run("queue", "stop")
	ids := s.submit(jobs)
	s.remove()
	return s, ids
}

// TestDiscardUnasked checks that a cluster whose state is to be discarded wakes without it, if no agent was asked to
// discard it, and that a restart of the lead discards nothing more.
func TestDiscardUnasked(t *testing.T) {
	for _, volume := range []bool{false, true} {
		t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
			withStandIn(t, func(t *testing.T) {
				s, _ := preemptedWith(t, volume, 2)
				s.configure(1, 1, volume, "another Job")
				s.plan.Archive.Discard = true
				s.startPods(1)
				s.online()
				assert.Empty(t, s.run("jobs", "-ano", "{id}"))
				assert.False(t, s.marker())
				s.run("queue", "stop")
				ids := s.submit(1)
				s.remove()
				s.startPods(1)
				s.online()
				assert.Equal(t, sorted(ids), sorted([]string{s.run("jobs", "-no", "{id}")}), "its own jobs stay")
			})
		})
	}
}

// TestEarlierArchives checks that a cluster whose archive has had several paths starts from the newest one: with the
// path Y, it wakes from X, and its pods end before it wakes with Z.
func TestEarlierArchives(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := newSleeper(t, 1, 1, false)
		x, y := s.plan.Archive.Path, filepath.Join(s.dir, "y.tar.gz")
		s.online()
		s.run("queue", "stop")
		ids := s.submit(2)
		s.until(control.PhaseSaved, later())
		s.remove()

		s.configure(1, 1, false, "job-1")
		s.plan.Archive.Path, s.plan.Archive.RestoreFrom = y, x
		s.startPods(1)
		s.online()
		s.run("queue", "start")
		s.eventually("the jobs", func() bool { return len(s.ran()) == len(ids) })
		s.eventually("their end", func() bool { return s.run("jobs", "-f", "running", "-no", "{id}") == "" })
		s.run("queue", "stop")
		more := s.submit(1)
		s.remove()
		require.FileExists(t, y)

		s.configure(1, 1, false, "job-2")
		s.plan.Archive.Path = filepath.Join(s.dir, "z.tar.gz")
		s.plan.Archive.RestoreFrom, s.plan.Archive.Earlier = x, []string{y, filepath.Join(s.dir, "missing.tar.gz")}
		s.startPods(1)
		s.online()
		s.run("queue", "start")
		s.eventually("the last job", func() bool { return len(s.ran()) > len(ids) })
		assert.Equal(t, sorted(append(ids, more...)), s.ran(), "no job runs twice")
		_, err := os.Stat(x)
		require.NoError(t, err)
	})
}
