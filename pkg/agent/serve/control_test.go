package serve

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// controlled serves the control endpoint of an instance, and returns a function that sends requests.
func controlled(t *testing.T, socket string) func(size int) (control.State, error) {
	t.Helper()
	client, addr := controlledWith(t, Options{Socket: socket})
	return func(size int) (control.State, error) {
		return client.Resize(t.Context(), addr.IP.String(), addr.Port, size)
	}
}

// controlledWith serves the control endpoint of a lead, and returns its client and its address.
func controlledWith(t *testing.T, o Options) (*control.Client, *net.TCPAddr) {
	t.Helper()
	data, err := control.NewCredentials("flux-sample-0", time.Now())
	require.NoError(t, err)
	o.User, o.Lead, o.Credentials = -1, true, data
	_, addr := startBoth(t, o)
	client, err := control.NewClient(data, "flux-sample-0")
	require.NoError(t, err)
	return client, addr
}

// drains returns the drained ranks, as "RANKS REASON; ...".
func drains(i *fluxtest.Instance) string {
	by := map[string]flux.IDSet{}
	for rank, reason := range i.Drained() {
		by[reason] = by[reason].Union(flux.IDs(rank))
	}
	var out []string
	for _, reason := range []string{control.Reason, "broken fan"} {
		if !by[reason].Empty() {
			out = append(out, by[reason].String()+" "+reason)
		}
	}
	return strings.Join(out, "; ")
}

func TestShrinkInOrder(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 6, Cores: 2})
	i.SetOnline(set(t, "0-3"))
	job := flux.Job{ID: 1, State: flux.JobRun, Ranks: set(t, "2-3")}
	i.SetJobs(job)
	ask := controlled(t, i.URI())

	for _, drained := range []string{"2-3", ""} { // idempotent
		state, err := ask(2)
		require.NoError(t, err)
		assert.Equal(t, control.State{
			Leaving: set(t, "2-3"), Drained: set(t, drained), Busy: set(t, "2-3"), Jobs: 1, LastJobs: []control.Job{{ID: "ƒ2"}},
		}, state)
		assert.Equal(t, "2-3 scale-down", drains(i), "missing ranks are not drained")
	}
	job.State = flux.JobInactive
	i.SetJobs(job)
	var state control.State
	require.Eventually(t, func() bool {
		var err error
		state, err = ask(2)
		return err == nil && state.Idle
	}, patience, 20*time.Millisecond)
	assert.Equal(t, control.State{Leaving: set(t, "2-3"), Idle: true}, state)

	i.SetOnline(set(t, "0-1"))
	state, err := ask(2)
	require.NoError(t, err)
	assert.Equal(t, control.State{Idle: true}, state, "the ranks are gone")

	state, err = ask(4)
	require.NoError(t, err)
	assert.Equal(t, control.State{Idle: true, Returned: set(t, "2-3")}, state)
	assert.Empty(t, drains(i), "the ranks are back")
}

// The hosts of other clusters in the instance of a lead with bursting are neither drained nor counted.
func TestShrinkWithBursting(t *testing.T) {
	for name, test := range map[string]struct {
		own           plan.RankMap
		size          int
		leaving, busy string
	}{
		"own hosts first":    {plan.RankMap{{Rank: 0, Count: 4}}, 2, "2-3", "3"},
		"own hosts apart":    {plan.RankMap{{Rank: 0, Count: 2}, {Index: 2, Rank: 6, Count: 2}}, 3, "7", "7"},
		"a host not in list": {plan.RankMap{{Rank: 0, Count: 1}, {Index: 2, Rank: 1, Count: 1}}, 2, "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := instance(t, fluxtest.Config{Size: 8, Cores: 2})
			i.SetJobs(flux.Job{ID: 1, State: flux.JobRun, Ranks: set(t, "3-7")})
			client, addr := controlledWith(t, Options{Socket: i.URI(), Ranks: test.own})
			state, err := client.Resize(t.Context(), addr.IP.String(), addr.Port, test.size)
			require.NoError(t, err)
			assert.Equal(t, test.leaving, state.Leaving.String())
			assert.Equal(t, test.leaving+" scale-down", drains(i))
			assert.Equal(t, test.busy, state.Busy.String())
			// Growth returns them.
			state, err = client.Resize(t.Context(), addr.IP.String(), addr.Port, 4)
			require.NoError(t, err)
			assert.Equal(t, test.leaving, state.Returned.String())
			assert.Empty(t, drains(i))
		})
	}
}

// The response names the jobs that end last, with the end of their time limits, and at most a few.
func TestLastJobs(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 4, Cores: 64})
	var jobs []flux.Job
	for n := range 20 {
		jobs = append(jobs, flux.Job{ID: flux.JobID(n), State: flux.JobRun, Ranks: set(t, "3"), Expiration: float64(1000 + n)})
	}
	jobs[3].Expiration, jobs[19].Ranks = 0, set(t, "1")
	i.SetJobs(jobs...)
	state, err := controlled(t, i.URI())(2)
	require.NoError(t, err)
	assert.Equal(t, 19, state.Jobs)
	require.Len(t, state.LastJobs, control.MaxJobs)
	assert.Equal(t, []control.Job{{ID: "ƒ4"}, {ID: "ƒK", Expiration: 1018}, {ID: "ƒJ", Expiration: 1017}}, state.LastJobs[:3])
}

// A lowered quorum reaches the supervisor of the broker.
func TestLowerQuorum(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 4})
	var got []int32
	client, addr := controlledWith(t, Options{Socket: i.URI(), LowerQuorum: func(n int32) { got = append(got, n) }})
	require.NoError(t, client.LowerQuorum(t.Context(), addr.IP.String(), addr.Port, 3))
	assert.ErrorContains(t, client.LowerQuorum(t.Context(), addr.IP.String(), addr.Port, 0), "400: quorum must be at least 1")
	assert.Equal(t, []int32{3}, got)
}

func TestChangeOfMind(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 4})
	ask := controlled(t, i.URI())
	_, err := ask(1)
	require.NoError(t, err)
	assert.Equal(t, "1-3 scale-down", drains(i))
	state, err := ask(3)
	require.NoError(t, err)
	assert.Equal(t, "1-2", state.Returned.String())
	assert.Equal(t, "3 scale-down", drains(i))
}

// The drain of an administrator survives 4 -> 3 -> 4.
func TestDrainsOfOthersStay(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 4})
	i.Drain(set(t, "3"), "broken fan")
	ask := controlled(t, i.URI())
	_, err := ask(3)
	require.NoError(t, err)
	assert.Equal(t, "3 broken fan", drains(i))
	state, err := ask(4)
	require.NoError(t, err)
	assert.True(t, state.Returned.Empty())
	assert.Equal(t, "3 broken fan", drains(i))
}

// A rank that never runs jobs cannot be drained, and does not have to be.
func TestExcludedRanksLeave(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 4, Exclude: set(t, "3")})
	ask := controlled(t, i.URI())
	state, err := ask(3)
	require.NoError(t, err)
	assert.Equal(t, control.State{Leaving: set(t, "3"), Idle: true}, state)
	state, err = ask(2)
	require.NoError(t, err)
	assert.Equal(t, "2", state.Drained.String())
}

// A rank that was just drained may have just got a job.
func TestIdleOnlyAfterAMoment(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 2})
	client, err := newConn(i.URI(), -1).client(t.Context())
	require.NoError(t, err)
	defer client.Close()
	var ages drainAges
	idleAt := func(now time.Time) bool {
		state, err := resize(t.Context(), client, &ages, nil, 1, now)
		require.NoError(t, err)
		return state.Idle
	}
	now := time.Now()
	assert.False(t, idleAt(now), "only the drain of this request")
	assert.False(t, idleAt(now.Add(settleTime/2)))
	assert.True(t, idleAt(now.Add(settleTime)))
}

// A rank whose drain is in the future because the clock was set back still becomes idle.
func TestIdleAfterAStepOfTheClock(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 2})
	i.Drain(set(t, "1"), "maintenance")
	i.Handle("resource.status", func(r *fluxtest.Request) {
		r.Respond(map[string]any{"R": map[string]any{"version": 1, "execution": map[string]any{"R_lite": []any{}}}, "online": "0-1", "offline": "", "exclude": "",
			"drain": map[string]any{"1": map[string]any{"timestamp": float64(time.Now().Add(time.Hour).Unix()), "reason": "maintenance"}}})
	})
	client, err := newConn(i.URI(), -1).client(t.Context())
	require.NoError(t, err)
	defer client.Close()
	var ages drainAges
	now := time.Now()
	for after, idle := range []bool{false, true} {
		state, err := resize(t.Context(), client, &ages, nil, 1, now.Add(time.Duration(after)*settleTime))
		require.NoError(t, err)
		assert.Equal(t, idle, state.Idle)
	}
}

func TestResizeRefused(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 2})
	ask := controlled(t, i.URI())
	var refused *control.RefusedError
	_, err := ask(0)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 400, refused.Code)

	i.Handle("resource.drain", func(r *fluxtest.Request) { r.Error(1, "Request requires owner credentials") })
	_, err = ask(1)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 503, refused.Code)
	assert.Contains(t, refused.Text, "drain 1: resource.drain: Request requires owner credentials")

	i.Close()
	_, err = ask(1)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 503, refused.Code)
}

// A pod becomes ready even if the controller cannot be served.
func TestWithoutTheController(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 1})
	url, addr := startBoth(t, Options{Socket: i.URI(), User: -1, Lead: true, Credentials: map[string][]byte{"some": nil}})
	code, _ := get(t, url+"/readyz")
	assert.Equal(t, 200, code)
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr.String())
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}
