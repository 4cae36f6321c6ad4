package agent

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestFollowerStopsAlone checks that no pending job starts on the rank of a follower that stops alone, as when it is
// evicted, where it would be stopped too, and that the next pod with the rank gets jobs again.
func TestFollowerStopsAlone(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		s := newSleeper(t, 2, 2, false)
		s.online()
		s.hold(1)
		s.hold(1) // one on each node
		ids := s.submit(10)
		s.signal(syscall.SIGTERM, 1)
		assert.Equal(t, plan.ExitStopped, s.wait(1))
		assert.Empty(t, s.ran(), "no job starts while the pod stops")
		assert.Equal(t, "1 "+control.ReasonPodStops, s.run("resource", "drain", "-no", "{ranks} {reason}"))

		s.start(1)
		s.eventually("all jobs", func() bool { return len(s.ran()) >= len(ids) })
		assert.Equal(t, sorted(ids), s.ran())
		assert.Empty(t, s.run("resource", "drain", "-no", "{ranks} {reason}"))
	})
}

// TestFollowerKeepsDrain checks that a drain by a person survives a follower that stops, and the next one.
func TestFollowerKeepsDrain(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := newSleeper(t, 2, 2, false)
		s.online()
		s.hold(2)
		s.run("resource", "drain", "1", "broken fan")
		s.signal(syscall.SIGTERM, 1)
		assert.Equal(t, plan.ExitStopped, s.wait(1))
		s.start(1)
		s.eventually("the broker of the next pod", func() bool {
			out, err := s.flux(1, "getattr", "rank")
			return err == nil && strings.TrimSpace(out) == "1"
		})
		assert.Equal(t, "1 broken fan", s.run("resource", "drain", "-no", "{ranks} {reason}"))
	})
}
