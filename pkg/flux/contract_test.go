package flux_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// contractSize is the number of brokers of the instances that the contract is
// tested with.
const contractSize = 3

// The contract of this package applies to the stand-in, in the new and the old form, and to the real Flux, if it is
// installed.

func TestContractWithStandIn(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old=%v", old), func(t *testing.T) {
			i := newInstance(t, fluxtest.Config{Size: contractSize, Cores: 2, Old: old})
			testContract(t, i.URI(), func() {
				i.SetJobs(
					flux.Job{ID: 2, State: flux.JobSched, Nodes: contractSize, Urgency: new(16), Priority: new(int64(16))},
					flux.Job{ID: 1, State: flux.JobRun, Nodes: 1, Ranks: flux.IDs(0), Urgency: new(16)},
				)
			})
		})
	}
}

func TestContractWithRealFlux(t *testing.T) {
	r, err := fluxtest.StartReal(t.Context(), contractSize)
	if errors.Is(err, fluxtest.ErrNotInstalled) {
		t.Skip("not testing the contract with the real Flux:", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(), "flux start") })
	testContract(t, r.URI(), func() {
		for _, nodes := range []int{1, contractSize} {
			_, err := r.Run(t.Context(), "submit", fmt.Sprint("-N", nodes), "--exclusive", "sleep", "inf")
			require.NoError(t, err)
		}
	})
}

func newInstance(t *testing.T, config fluxtest.Config) *fluxtest.Instance {
	t.Helper()
	i, err := fluxtest.NewInstance(config)
	require.NoError(t, err)
	t.Cleanup(i.Close)
	return i
}

// eventually waits for a condition that a real instance meets after some time.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 20*time.Millisecond, what)
}

func testContract(t *testing.T, uri string, submit func()) {
	c := dial(t, uri)
	eventually(t, "all brokers are online", func() bool {
		online, err := c.Group(t.Context(), flux.GroupOnline)
		return assert.NoError(t, err) && online.String() == "0-2"
	})
	t.Run("broker", func(t *testing.T) { contractBroker(t, c) })
	t.Run("resources", func(t *testing.T) { contractResources(t, c) })
	t.Run("queues", func(t *testing.T) { contractQueues(t, c) })
	t.Run("drain", func(t *testing.T) { contractDrain(t, c) })
	t.Run("jobs", func(t *testing.T) { contractJobs(t, c, submit) })
}

func contractBroker(t *testing.T, c *flux.Client) {
	ctx := t.Context()
	rank, err := c.Attr(ctx, "rank")
	require.NoError(t, err)
	assert.Equal(t, "0", rank)
	version, err := c.Attr(ctx, "version")
	require.NoError(t, err)
	assert.Regexp(t, `^0\.\d+\.\d+`, version)
	t.Log("Flux", version)
	require.NoError(t, c.SetAttr(ctx, "content.restore", "/nosuch.tgz")) // has no effect after the start
	value, err := c.Attr(ctx, "content.restore")
	require.NoError(t, err)
	assert.Equal(t, "/nosuch.tgz", value)
	assert.Error(t, c.SetAttr(ctx, "rank", "3"))
	_, err = c.Attr(ctx, "no-such-attribute")
	assert.ErrorIs(t, err, syscall.ENOENT)
	assert.ErrorContains(t, err, "attribute no-such-attribute")
	state, err := c.State(ctx)
	require.NoError(t, err)
	assert.Equal(t, flux.StateRun, state)

	assert.True(t, flux.NotOffered(c.Call(ctx, "nosuch.method", flux.AnyNode, nil, nil)))
	assert.ErrorIs(t, c.Call(ctx, "groups.get", flux.Leader, nil, nil), syscall.EPROTO)

	eventually(t, "the tree is full", func() bool {
		health, err := c.OverlayHealth(ctx, flux.Leader)
		return assert.NoError(t, err) && health.Status == flux.HealthFull && len(health.Children) > 0
	})

	s, err := c.Stream(ctx, "groups.get", flux.Leader, map[string]string{"name": flux.GroupOnline})
	require.NoError(t, err)
	defer s.Close()
	var group struct{ Members flux.IDSet }
	require.NoError(t, s.Next(ctx, &group))
	assert.Equal(t, "0-2", group.Members.String())
}

func contractResources(t *testing.T, c *flux.Client) {
	ctx := t.Context()
	eventually(t, "all resources are up", func() bool {
		s, err := c.SchedStatus(ctx)
		return err == nil && s.Free().Totals().Nodes == contractSize
	})
	status, err := c.ResourceStatus(ctx)
	require.NoError(t, err)
	assert.Equal(t, "0-2", status.Online.String())
	assert.True(t, status.Offline.Empty())
	assert.Empty(t, status.Drained)
	assert.Equal(t, contractSize, status.All.Totals().Nodes)
	assert.GreaterOrEqual(t, status.All.Totals().Cores, contractSize)

	queues, err := c.Queues(ctx)
	require.NoError(t, err)
	assert.Equal(t, []flux.QueueStatus{{Enabled: true, Started: true}}, queues)
}

func contractQueues(t *testing.T, c *flux.Client) {
	ctx := t.Context()
	require.NoError(t, c.StopQueues(ctx, "a pause"))
	require.NoError(t, c.StopQueues(ctx, "a pause"), "idempotent")
	queues, err := c.Queues(ctx)
	require.NoError(t, err)
	assert.Equal(t, []flux.QueueStatus{{Enabled: true, StopReason: "a pause"}}, queues)
	require.NoError(t, c.RestoreQueue(ctx, flux.QueueStatus{Started: true}))
	require.NoError(t, c.RestoreQueue(ctx, flux.QueueStatus{Started: true}), "idempotent")
	queues, err = c.Queues(ctx)
	require.NoError(t, err)
	assert.Equal(t, []flux.QueueStatus{{Enabled: true, Started: true}}, queues)
	assert.ErrorIs(t, c.RestoreQueue(ctx, flux.QueueStatus{Name: "nosuch", Started: true}), syscall.EINVAL)
}

func contractDrain(t *testing.T, c *flux.Client) {
	ctx := t.Context()
	const reason = "scale-down"
	require.NoError(t, c.Drain(ctx, ids(t, "2"), "broken fan"))
	require.NoError(t, c.Drain(ctx, ids(t, "1-2"), reason))
	require.NoError(t, c.Drain(ctx, ids(t, "1-2"), reason), "idempotent")
	require.NoError(t, c.Drain(ctx, flux.IDSet{}, reason), "nothing to do")
	assert.ErrorIs(t, c.Drain(ctx, ids(t, "7"), reason), syscall.EINVAL)

	status, err := c.ResourceStatus(ctx)
	require.NoError(t, err)
	assert.Equal(t, "1-2", status.DrainedRanks().String())
	assert.Equal(t, "1", status.DrainedFor(reason).String(), "rank 2 keeps the reason that it had")
	assert.Equal(t, "2", status.DrainedFor("broken fan").String())
	for _, d := range status.Drained {
		assert.WithinDuration(t, time.Now(), d.Since, time.Minute)
	}
	sched, err := c.SchedStatus(ctx)
	require.NoError(t, err)
	assert.Equal(t, "1-2", sched.Down.Ranks().String(), "drained ranks are down for the scheduler")
	assert.Equal(t, "0", sched.Free().Ranks().String())

	given, err := c.Undrain(ctx, ids(t, "0-2"), reason)
	require.NoError(t, err)
	assert.Equal(t, "1", given.String(), "an administrator's drain stays")
	given, err = c.Undrain(ctx, ids(t, "0-2"), reason)
	require.NoError(t, err)
	assert.True(t, given.Empty(), "idempotent")
	given, err = c.Undrain(ctx, ids(t, "2"), "broken fan")
	require.NoError(t, err)
	assert.Equal(t, "2", given.String())
}

func contractJobs(t *testing.T, c *flux.Client, submit func()) {
	ctx := t.Context()
	submit()
	eventually(t, "one job runs and one waits", func() bool {
		stats, err := c.JobStats(ctx)
		return assert.NoError(t, err) && stats.States.Run == 1 && stats.States.Sched == 1
	})
	known, err := c.KnownJobs(ctx)
	require.NoError(t, err)
	assert.Equal(t, 2, known)
	running, err := c.Jobs(ctx, flux.JobRunning, 0)
	require.NoError(t, err)
	require.Len(t, running, 1)
	assert.Equal(t, 1, running[0].Ranks.Count())
	assert.Equal(t, 1, running[0].Nodes)
	assert.Equal(t, flux.JobRun, running[0].State)
	assert.Equal(t, 16, *running[0].Urgency)

	waiting, err := c.Jobs(ctx, flux.JobPending, 10)
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	assert.Equal(t, contractSize, waiting[0].Nodes)
	assert.False(t, waiting[0].Held())
	short, err := c.Jobs(ctx, flux.JobPending, 10, "nnodes", "priority")
	require.NoError(t, err)
	require.Len(t, short, 1)
	assert.Equal(t, waiting[0].ID, short[0].ID)
	assert.Equal(t, contractSize, short[0].Nodes)
	assert.Equal(t, int64(16), *short[0].Priority)
	one, err := c.Jobs(ctx, flux.JobActive, 1)
	require.NoError(t, err)
	assert.Len(t, one, 1, "at most the requested number")

	sched, err := c.SchedStatus(ctx)
	require.NoError(t, err)
	assert.Equal(t, running[0].Ranks.String(), sched.Allocated.Ranks().String())

	checkJournal := func() {}
	if version, err := c.Attr(ctx, "version"); assert.NoError(t, err) && !strings.HasPrefix(version, "0.49.") {
		checkJournal = contractJournal(t, c, waiting[0].ID)
	}
	require.NoError(t, c.Raise(ctx, waiting[0].ID, "cancel", "not wanted"))
	checkJournal()
	eventually(t, "the waiting job has ended", func() bool {
		jobs, err := c.Jobs(ctx, flux.JobInactive, 0)
		return assert.NoError(t, err) && len(jobs) == 1 && jobs[0].ID == waiting[0].ID
	})
	assert.ErrorIs(t, c.Raise(ctx, waiting[0].ID, "cancel", ""), syscall.ENOENT)

	count, err := c.CancelAll(ctx, flux.JobActive, "canceled as a job of a previous run")
	require.NoError(t, err)
	assert.Equal(t, 1, count)
	eventually(t, "all jobs have ended", func() bool {
		stats, err := c.JobStats(ctx)
		return assert.NoError(t, err) && stats.States.Inactive == 2 && stats.States.Total == 2 &&
			assert.Equal(t, []int{0, 0, 2, 0}, []int{stats.Successful, stats.Failed, stats.Canceled, stats.TimedOut})
	})
	ended, err := c.Jobs(ctx, flux.JobInactive, 0, "t_inactive")
	require.NoError(t, err)
	require.Len(t, ended, 2)
	assert.GreaterOrEqual(t, ended[0].Inactive, ended[1].Inactive, "the latest first")
	assert.InDelta(t, float64(time.Now().Unix()), ended[0].Inactive, 60)
	known, err = c.KnownJobs(ctx)
	require.NoError(t, err)
	assert.Equal(t, 2, known, "inactive jobs are known")
}
