package flux_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

func TestJobID(t *testing.T) {
	// As `flux job id --to=f58` prints them.
	for id, want := range map[flux.JobID]string{0: "ƒ1", 57: "ƒz", 58: "ƒ21", 6731191091817518: "ƒuZZybuNNy"} {
		assert.Equal(t, want, id.String())
	}
}

func TestJobState(t *testing.T) {
	assert.Equal(t, "sched", flux.JobSched.String())
	assert.Equal(t, "state 0xe", flux.JobPending.String())
	assert.Equal(t, "state 0x80", flux.JobState(128).String())
	assert.Equal(t, []string{"run", "cleanup"}, flux.JobRunning.Names())
	assert.Empty(t, flux.JobState(0).Names())
}

func TestJobHeld(t *testing.T) {
	assert.False(t, flux.Job{}.Held(), "not known")
	assert.True(t, flux.Job{Urgency: new(0), Priority: new(int64(0))}.Held())
	assert.True(t, flux.Job{Urgency: new(16), Priority: new(int64(0))}.Held())
	assert.False(t, flux.Job{Urgency: new(16), Priority: new(int64(16))}.Held())
}

func TestNamedQueues(t *testing.T) {
	i := newInstance(t, fluxtest.Config{Size: 1})
	want := []flux.QueueStatus{
		{Name: "batch", Enabled: true, StopReason: "maintenance"},
		{Name: "debug", Started: true, DisableReason: "full"},
	}
	i.SetQueues(want...)
	i.SetJobs(flux.Job{ID: 1, State: flux.JobSched, Queue: "batch"})
	c := dial(t, i.URI())
	got, err := c.Queues(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)

	stats, err := c.JobStats(t.Context())
	require.NoError(t, err)
	require.Len(t, stats.Queues, 2)
	assert.Equal(t, "batch", stats.Queues[0].Queue)
	assert.Equal(t, 1, stats.Queues[0].States.Sched)
	assert.Zero(t, stats.Queues[1].States.Sched)

	i.Handle("job-manager.queue-status", func(r *fluxtest.Request) { r.Error(syscall.EINVAL, "it was removed") })
	_, err = c.Queues(t.Context())
	assert.ErrorContains(t, err, "queue batch: job-manager.queue-status: it was removed")
}

// Another client undrains a rank between the query and the request.
func TestUndrainRace(t *testing.T) {
	i := newInstance(t, fluxtest.Config{Size: 4})
	i.Drain(ids(t, "1-3"), "scale-down")
	c := dial(t, i.URI())
	tries := 0
	i.Handle("resource.undrain", func(r *fluxtest.Request) {
		if tries++; tries < 3 {
			r.Error(syscall.EEXIST, "rank 1 not drained")
			return
		}
		r.Respond(nil)
	})
	given, err := c.Undrain(t.Context(), ids(t, "1-2"), "scale-down")
	require.NoError(t, err)
	assert.Equal(t, "1-2", given.String())
	assert.Equal(t, 3, tries)

	tries = -1000
	_, err = c.Undrain(t.Context(), ids(t, "1-2"), "scale-down")
	assert.ErrorIs(t, err, syscall.EEXIST, "the number of attempts is limited")
}

func TestResourceStatusRefused(t *testing.T) {
	i := newInstance(t, fluxtest.Config{Size: 1})
	c := dial(t, i.URI())
	i.Handle("resource.status", func(r *fluxtest.Request) {
		r.Respond(map[string]any{"drain": map[string]any{"2-1": map[string]any{}}})
	})
	_, err := c.ResourceStatus(t.Context())
	assert.ErrorContains(t, err, "drained ranks")
	_, err = c.Undrain(t.Context(), ids(t, "0"), "x")
	assert.ErrorContains(t, err, "drained ranks")
}

// The broker must see the requested user, while the rest of the process keeps its user.
func TestDialAsUser(t *testing.T) {
	b := newBroker(t)
	seen := make(chan uint32, 1)
	b.Admit(func(uid uint32) (uint32, syscall.Errno) {
		seen <- uid
		return fluxtest.RoleOwner, 0
	})
	own := os.Geteuid()
	dial(t, b.URI(), flux.AsUser(own))
	assert.Equal(t, uint32(own), <-seen)
	if own != 0 {
		_, err := flux.Dial(t.Context(), b.URI(), flux.AsUser(own+1))
		assert.ErrorIs(t, err, syscall.EPERM)
		t.Skip("only root can connect as another user")
	}
	require.NoError(t, os.Chmod(b.Dir(), 0o755))
	require.NoError(t, os.Chmod(b.Path(), 0o777))
	dial(t, b.URI(), flux.AsUser(65534))
	assert.Equal(t, uint32(65534), <-seen)
	assert.Equal(t, own, os.Geteuid())
	dial(t, b.URI())
	assert.Equal(t, uint32(own), <-seen)
}
