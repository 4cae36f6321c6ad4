package serve

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
)

func set(t testing.TB, s string) flux.IDSet {
	t.Helper()
	out, err := flux.ParseIDSet(s)
	require.NoError(t, err)
	return out
}

// nodes are ranks with some cores each.
func nodes(t testing.TB, ranks string, cores int) flux.Resources {
	t.Helper()
	var r flux.Resources
	for rank := range set(t, ranks).All() {
		r.Nodes = append(r.Nodes, flux.NodeResources{Rank: rank, Cores: flux.IDRange(0, uint32(cores-1))})
	}
	return r
}

func onNodes(n int) flux.Job {
	return flux.Job{State: flux.JobSched, Nodes: n, Tasks: n, Urgency: new(16)}
}

func onCores(n int) flux.Job {
	return flux.Job{State: flux.JobSched, Cores: n, Tasks: n, Urgency: new(16)}
}

func with(j flux.Job, change func(*flux.Job)) flux.Job {
	change(&j)
	return j
}

func TestDemand(t *testing.T) {
	type jobs = []flux.Job
	held := func(j *flux.Job) { j.Urgency = new(0) }
	dependent := func(j *flux.Job) { j.State = flux.JobDepend }
	batch := func(j *flux.Job) { j.Queue = "batch" }
	for _, test := range []struct {
		name    string
		busy    flux.Resources
		waiting jobs
		stopped string
		drained string
		broken  string
		want    demand
	}{
		// Eight nodes of four cores.
		{name: "idle"},
		{name: "one job on rank 7", busy: nodes(t, "7", 4), want: demand{nodes: 8}},
		{name: "gaps below what runs", busy: nodes(t, "0,5", 4), want: demand{nodes: 6}},
		{name: "a job waits for a node", waiting: jobs{onNodes(1)}, want: demand{1, 4, 1}},
		{name: "ten jobs wait", waiting: jobs{
			onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1),
		}, want: demand{10, 40, 10}},
		{name: "running and waiting add up", busy: nodes(t, "0-1", 4), waiting: jobs{onNodes(3)}, want: demand{3, 12, 5}},
		{name: "what waits fits below what runs", busy: nodes(t, "7", 4), waiting: jobs{onNodes(3)}, want: demand{3, 12, 8}},

		{name: "cores are put together", waiting: jobs{onCores(3), onCores(3), onCores(3)}, want: demand{3, 9, 3}},
		{name: "one core", waiting: jobs{onCores(1)}, want: demand{1, 1, 1}},
		{name: "tasks, where cores are not told", waiting: jobs{{State: flux.JobSched, Tasks: 5}}, want: demand{2, 5, 2}},
		{name: "nothing told", waiting: jobs{{State: flux.JobSched}}, want: demand{1, 1, 1}},
		{name: "cores in nodes in use", busy: nodes(t, "0-1", 1), waiting: jobs{onCores(6)}, want: demand{2, 6, 2}},
		{name: "more cores than are left there", busy: nodes(t, "0-1", 1), waiting: jobs{onCores(7)}, want: demand{2, 7, 3}},
		{name: "no room on a drained node", busy: nodes(t, "0-1", 1), drained: "1", waiting: jobs{onCores(6)}, want: demand{2, 6, 3}},
		{
			name: "some cores of several nodes", waiting: jobs{with(onNodes(2), func(j *flux.Job) { j.Cores = 2 })},
			want: demand{2, 2, 2},
		},

		{name: "held", waiting: jobs{with(onNodes(3), held)}},
		{name: "held by priority", waiting: jobs{with(onNodes(3), func(j *flux.Job) { j.Priority = new(int64(0)) })}},
		{name: "dependent", waiting: jobs{with(onNodes(3), dependent)}},
		{name: "more nodes than there can be", waiting: jobs{onNodes(9)}},
		{name: "as many nodes as there can be", waiting: jobs{onNodes(8)}, want: demand{8, 32, 8}},
		{name: "more cores than there can be", waiting: jobs{onCores(33)}},
		{name: "more cores than a node has", waiting: jobs{with(onNodes(1), func(j *flux.Job) { j.Cores = 5 })}},
		{name: "stopped", waiting: jobs{with(onNodes(3), batch), onNodes(1)}, stopped: "batch", want: demand{1, 4, 1}},
		{name: "another queue is stopped", waiting: jobs{with(onNodes(3), batch)}, stopped: "debug", want: demand{3, 12, 3}},

		{name: "a broken node is no use", waiting: jobs{onNodes(2)}, drained: "1", broken: "1", want: demand{2, 8, 3}},
		{name: "ours will come back", waiting: jobs{onNodes(2)}, drained: "1-7", want: demand{2, 8, 2}},
		{
			name: "a broken node on which something runs", busy: nodes(t, "0-1", 4), drained: "1", broken: "1",
			waiting: jobs{onNodes(1)}, want: demand{1, 4, 3},
		},
		{name: "not enough that are not broken", waiting: jobs{onNodes(8)}, drained: "0-1", broken: "0-1", want: demand{8, 32, 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := demandOf(situation{
				all: nodes(t, "0-7", 4), allocated: test.busy, waiting: test.waiting,
				stopped: map[string]bool{test.stopped: test.stopped != ""},
				drained: set(t, test.drained), broken: set(t, test.broken),
			})
			assert.Equal(t, test.want, got)
		})
	}
}

func TestDemandWithoutResources(t *testing.T) {
	assert.Equal(t, demand{}, demandOf(situation{waiting: []flux.Job{onNodes(1), onCores(1)}}))
}

// A rank 0 that is excluded from running jobs needs a pod nevertheless.
func TestDemandAboveAnExcludedRank(t *testing.T) {
	got := demandOf(situation{all: nodes(t, "1-7", 4), waiting: []flux.Job{onNodes(2)}})
	assert.Equal(t, 3, got.nodes)
}
