package serve

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// nodeDrainer sends nodes to the control endpoint of a lead.
type nodeDrainer func(nodes ...control.NodeDrain) (control.DrainState, error)

// nodeDrained serves the control endpoint of an instance.
func nodeDrained(t *testing.T, socket string, own plan.RankMap) nodeDrainer {
	t.Helper()
	client, addr := controlledWith(t, Options{Socket: socket, Ranks: own})
	return func(nodes ...control.NodeDrain) (control.DrainState, error) {
		return client.Drain(t.Context(), addr.IP.String(), addr.Port, control.Drain{Nodes: nodes})
	}
}

// must returns a function that ends the test at an error.
func (d nodeDrainer) must(t *testing.T) func(nodes ...control.NodeDrain) control.DrainState {
	t.Helper()
	return func(nodes ...control.NodeDrain) control.DrainState {
		t.Helper()
		state, err := d(nodes...)
		require.NoError(t, err)
		return state
	}
}

// eventually repeats the request for a node until the response is as expected. It may fail until then: the broker may
// be too slow to answer in time.
func (d nodeDrainer) eventually(t *testing.T, node control.NodeDrain, is func(control.DrainState) bool, what string) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, err := d(node)
		return err == nil && is(state)
	}, patience, 10*time.Millisecond, what)
}

func TestNodeDrain(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 6, Cores: 2})
	i.Drain(set(t, "5"), "broken fan")
	job := flux.Job{ID: 1, State: flux.JobRun, Ranks: set(t, "2-3")}
	i.SetJobs(job)
	drain := nodeDrained(t, i.URI(), nil)
	ask := drain.must(t)
	one := control.NodeDrain{Node: "one", Reason: "cordoned", Indexes: set(t, "3-5")}

	assert.Equal(t, control.DrainState{Busy: set(t, "3"), Free: set(t, "1,4-5"), Drained: set(t, "3-4")}, ask(one))
	assert.Equal(t, map[uint32]string{3: "Kubernetes node one: cordoned", 4: "Kubernetes node one: cordoned", 5: "broken fan"}, i.Drained())
	idle := set(t, "4-5")
	drain.eventually(t, one, func(s control.DrainState) bool { return s.Idle.Equal(idle) }, "rank 4 is idle when its drain is old enough")
	job.State = flux.JobInactive
	i.SetJobs(job)
	assert.Equal(t, control.DrainState{Idle: set(t, "3-5"), Free: set(t, "0-5")}, ask(one))

	two := control.NodeDrain{Node: "two", Reason: "rack 3 is moved", Indexes: set(t, "1")}
	one.Indexes = set(t, "4-5")
	state := ask(one, two)
	assert.Equal(t, set(t, "3"), state.Returned, "its pod is on another node now")
	assert.Equal(t, set(t, "1"), state.Drained)
	assert.Equal(t, "Kubernetes node two: rack 3 is moved", i.Drained()[1])

	assert.Equal(t, control.DrainState{Free: set(t, "0-5"), Returned: set(t, "1,4")}, ask())
	assert.Equal(t, map[uint32]string{5: "broken fan"}, i.Drained(), "the drain of an administrator remains")
}

// All jobs end with the lead, so it is busy while anything runs.
func TestNodeDrainOfTheLead(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 3, Cores: 2})
	i.SetJobs(flux.Job{ID: 1, State: flux.JobRun, Ranks: set(t, "2")})
	drain := nodeDrained(t, i.URI(), nil)
	ask := drain.must(t)
	node := control.NodeDrain{Node: "one", Reason: "cordoned", Indexes: set(t, "0-1")}
	assert.Equal(t, set(t, "0-1"), ask(node).Drained)
	assert.Equal(t, set(t, "0"), ask(node).Busy)
	i.SetJobs(flux.Job{ID: 1, State: flux.JobInactive})
	both := set(t, "0-1")
	drain.eventually(t, node, func(s control.DrainState) bool { return s.Idle.Equal(both) }, "both ranks are idle")
}

// A drain for a change of size and one for a node do not undo each other.
func TestNodeDrainWhileShrinking(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 4, Cores: 2})
	client, addr := controlledWith(t, Options{Socket: i.URI()})
	resize := func(size int) {
		_, err := client.Resize(t.Context(), addr.IP.String(), addr.Port, size)
		require.NoError(t, err)
	}
	ask := func(nodes ...control.NodeDrain) {
		_, err := client.Drain(t.Context(), addr.IP.String(), addr.Port, control.Drain{Nodes: nodes})
		require.NoError(t, err)
	}
	ask(control.NodeDrain{Node: "one", Reason: "cordoned", Indexes: set(t, "2")})
	resize(2)
	assert.Equal(t, map[uint32]string{2: "Kubernetes node one: cordoned", 3: control.Reason}, i.Drained())
	resize(4)
	assert.Equal(t, map[uint32]string{2: "Kubernetes node one: cordoned"}, i.Drained())
	resize(3)
	ask()
	assert.Equal(t, map[uint32]string{3: control.Reason}, i.Drained())
}

// In an instance with bursting, indexes are not ranks.
func TestNodeDrainWithBursting(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 2})
	i.SetJobs(flux.Job{ID: 1, State: flux.JobRun, Ranks: set(t, "6")})
	ask := nodeDrained(t, i.URI(), plan.RankMap{{Rank: 0, Count: 2}, {Index: 2, Rank: 6, Count: 2}}).must(t)
	state := ask(control.NodeDrain{Node: "one", Reason: "cordoned", Indexes: set(t, "1-3,7")})
	assert.Equal(t, control.DrainState{Drained: set(t, "1-3"), Free: set(t, "1,3"), Busy: set(t, "2")}, state)
	assert.Equal(t, []uint32{1, 6, 7}, drainedRanks(i))
	assert.Equal(t, set(t, "1-3"), ask().Returned)
}

func drainedRanks(i *fluxtest.Instance) []uint32 {
	var ranks flux.IDSet
	for rank := range i.Drained() {
		ranks = ranks.Union(flux.IDs(rank))
	}
	var all []uint32
	for rank := range ranks.All() {
		all = append(all, rank)
	}
	return all
}

// With the real Flux, a job on a rank completes while its node goes away, another job goes elsewhere, and the drain of
// an administrator stays.
func TestNodeDrainRealFlux(t *testing.T) {
	r, err := fluxtest.StartReal(t.Context(), 4)
	if errors.Is(err, fluxtest.ErrNotInstalled) {
		t.Skip("not draining nodes with the real Flux:", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(), "flux start") })
	run := func(args ...string) string {
		t.Helper()
		out, err := r.Run(t.Context(), args...)
		require.NoError(t, err)
		return strings.TrimSpace(out)
	}
	drain := nodeDrained(t, r.URI(), nil)
	require.Eventually(t, func() bool {
		out, err := r.Run(t.Context(), "resource", "list", "-no", "{nnodes}", "-s", "free")
		return err == nil && strings.TrimSpace(out) == "4"
	}, patience, 50*time.Millisecond, "all nodes are free")
	run("resource", "drain", "2", "broken fan")
	end := filepath.Join(t.TempDir(), "end")
	job := run("submit", "-N1", "--exclusive", "--requires=rank:3", "sh", "-c", until(end))
	run("job", "wait-event", job, "start") // a drained rank gets no job
	node := control.NodeDrain{Node: "worker-3", Reason: "the node is cordoned", Indexes: set(t, "2-3")}
	three, all := set(t, "3"), set(t, "2-3")
	drain.eventually(t, node, func(s control.DrainState) bool { return s.Busy.Equal(three) }, "rank 3 is busy")
	assert.ElementsMatch(t, []string{"2 broken fan", "3 Kubernetes node worker-3: the node is cordoned"},
		strings.Split(run("resource", "drain", "-no", "{ranks} {reason}"), "\n"))
	other := run("submit", "-N1", "--exclusive", "true")
	run("job", "wait-event", other, "clean")
	assert.NotEqual(t, "3", run("jobs", "-no", "{ranks}", other))
	require.NoError(t, os.WriteFile(end, nil, 0o600))
	drain.eventually(t, node, func(s control.DrainState) bool { return s.Idle.Equal(all) }, "both ranks are idle")
	assert.Equal(t, "COMPLETED", run("jobs", "-no", "{status}", job))
	assert.Equal(t, three, drain.must(t)().Returned)
	assert.Equal(t, "2 broken fan", run("resource", "drain", "-no", "{ranks} {reason}"))
}
