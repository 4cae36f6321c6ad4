package serve

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
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
		// Eight nodes with four cores.
		{name: "idle"},
		{name: "one job on rank 7", busy: nodes(t, "7", 4), want: demand{nodes: 8}},
		{name: "gaps below what runs", busy: nodes(t, "0,5", 4), want: demand{nodes: 6}},
		{name: "a job waits for a node", waiting: jobs{onNodes(1)}, want: demand{1, 4, 0, 1}},
		{name: "ten jobs wait", waiting: jobs{
			onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1), onNodes(1),
		}, want: demand{10, 40, 0, 10}},
		{name: "running and waiting add up", busy: nodes(t, "0-1", 4), waiting: jobs{onNodes(3)}, want: demand{3, 12, 0, 5}},
		{name: "pending jobs fit below running jobs", busy: nodes(t, "7", 4), waiting: jobs{onNodes(3)}, want: demand{3, 12, 0, 8}},

		{name: "cores are combined", waiting: jobs{onCores(3), onCores(3), onCores(3)}, want: demand{3, 9, 0, 3}},
		{name: "one core", waiting: jobs{onCores(1)}, want: demand{1, 1, 0, 1}},
		{name: "tasks without a number of cores", waiting: jobs{{State: flux.JobSched, Tasks: 5}}, want: demand{2, 5, 0, 2}},
		{name: "unknown request", waiting: jobs{{State: flux.JobSched}}, want: demand{1, 1, 0, 1}},
		{name: "cores in nodes in use", busy: nodes(t, "0-1", 1), waiting: jobs{onCores(6)}, want: demand{2, 6, 0, 2}},
		{name: "more cores than remain there", busy: nodes(t, "0-1", 1), waiting: jobs{onCores(7)}, want: demand{2, 7, 0, 3}},
		{name: "no room on a drained node", busy: nodes(t, "0-1", 1), drained: "1", waiting: jobs{onCores(6)}, want: demand{2, 6, 0, 3}},
		{
			name: "some cores of several nodes", waiting: jobs{with(onNodes(2), func(j *flux.Job) { j.Cores = 2 })},
			want: demand{2, 2, 0, 2},
		},

		{name: "held", waiting: jobs{with(onNodes(3), held)}},
		{name: "held, by priority", waiting: jobs{with(onNodes(3), func(j *flux.Job) { j.Priority = new(int64(0)) })}},
		{name: "more nodes than there can be", waiting: jobs{onNodes(9)}},
		{name: "as many nodes as there can be", waiting: jobs{onNodes(8)}, want: demand{8, 32, 0, 8}},
		{name: "more cores than there can be", waiting: jobs{onCores(33)}},
		{name: "more cores than a node has", waiting: jobs{with(onNodes(1), func(j *flux.Job) { j.Cores = 5 })}},
		{name: "stopped", waiting: jobs{with(onNodes(3), batch), onNodes(1)}, stopped: "batch", want: demand{1, 4, 0, 1}},
		{name: "another queue is stopped", waiting: jobs{with(onNodes(3), batch)}, stopped: "debug", want: demand{3, 12, 0, 3}},

		{name: "a broken node is not counted", waiting: jobs{onNodes(2)}, drained: "1", broken: "1", want: demand{2, 8, 0, 3}},
		{name: "ranks that the agent drained are counted", waiting: jobs{onNodes(2)}, drained: "1-7", want: demand{2, 8, 0, 2}},
		{
			name: "a broken node with a running job", busy: nodes(t, "0-1", 4), drained: "1", broken: "1",
			waiting: jobs{onNodes(1)}, want: demand{1, 4, 0, 3},
		},
		{name: "too few nodes that are not broken", waiting: jobs{onNodes(8)}, drained: "0-1", broken: "0-1", want: demand{8, 32, 0, 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := demandOf(situation{
				all: nodes(t, "0-7", 4), allocated: test.busy, waiting: countRequests(test.waiting),
				stopped: map[string]bool{test.stopped: test.stopped != ""},
				drained: set(t, test.drained), broken: set(t, test.broken),
			})
			assert.Equal(t, test.want, got)
		})
	}
}

func TestDemandWithoutResources(t *testing.T) {
	assert.Equal(t, demand{}, demandOf(situation{waiting: countRequests([]flux.Job{onNodes(1), onCores(1)})}))
}

// A rank 0 that is excluded from running jobs still needs a pod.
func TestDemandAboveAnExcludedRank(t *testing.T) {
	got := demandOf(situation{all: nodes(t, "1-7", 4), waiting: countRequests([]flux.Job{onNodes(2)})})
	assert.Equal(t, 3, got.nodes)
}

func TestDemandOfJobspecs(t *testing.T) {
	slot := jobRequest{slots: 1, cores: 1}
	gpu := jobRequest{slots: 1, cores: 1, gpus: 1}
	node := jobRequest{nodes: 1, exclusive: true, slots: 1, cores: 1}
	on := func(w jobRequest, constraint string) jobRequest {
		w.requires = constraint
		return w
	}
	slots := func(w jobRequest, n int) jobRequest {
		w.slots = n
		return w
	}
	big := func(w jobRequest, cores int) jobRequest {
		w.cores = cores
		return w
	}
	onNodes := func(w jobRequest, n int) jobRequest {
		w.nodes = n
		return w
	}
	const rank5, fast, slow = `{"ranks":["5"]}`, `{"properties":["fast"]}`, `{"properties":["^fast"]}`
	type wants = map[jobRequest]int
	for _, test := range []struct {
		name    string
		waiting wants
		busy    string
		broken  string
		want    demand
	}{
		// Eight nodes of four cores; 4-7 have two GPUs, 2-5 are fast.
		{name: "slots that share no node", waiting: wants{big(slots(slot, 4), 3): 1}, want: demand{4, 12, 0, 4}},
		{name: "slots that leave room for others", waiting: wants{big(slots(slot, 2), 3): 1, slot: 2}, want: demand{3, 8, 0, 2}},
		{name: "a slot of more cores than a node has", waiting: wants{big(slot, 5): 1}},
		{name: "thirds", waiting: wants{slot: 32}, want: demand{8, 32, 0, 8}},

		{name: "a rank", waiting: wants{on(slot, rank5): 1}, want: demand{1, 1, 0, 6}},
		{name: "a rank that is broken", waiting: wants{on(slot, rank5): 1}, broken: "5", want: demand{1, 1, 0, 0}},
		{name: "more on a rank than at once", waiting: wants{on(slots(slot, 4), rank5): 10}, want: demand{10, 40, 0, 6}},
		{name: "more on a rank than ever", waiting: wants{on(slots(slot, 5), rank5): 1}},
		{name: "two nodes on one rank", waiting: wants{on(onNodes(node, 2), rank5): 1}},
		{name: "a rank and others", waiting: wants{on(node, rank5): 1, node: 6}, want: demand{7, 28, 0, 7}},
		{name: "a rank is kept for the job that needs it", waiting: wants{on(slot, rank5): 1, node: 5}, want: demand{6, 21, 0, 6}},
		{name: "ranks that are a part of a property", waiting: wants{on(node, `{"ranks":["2"]}`): 1, on(node, fast): 1}, want: demand{2, 8, 0, 4}},
		{name: "a property", waiting: wants{on(onNodes(node, 2), fast): 1}, want: demand{2, 8, 0, 4}},
		{name: "all of a property", waiting: wants{on(onNodes(node, 4), fast): 1}, want: demand{4, 16, 0, 6}},
		{name: "more than all of a property", waiting: wants{on(onNodes(node, 5), fast): 1}},
		{name: "a property, in turn", waiting: wants{on(node, fast): 9}, want: demand{9, 36, 0, 6}},
		{name: "not a property", waiting: wants{on(onNodes(node, 3), slow): 1}, want: demand{3, 12, 0, 7}},
		{name: "a property that no rank has", waiting: wants{on(node, `{"properties":["nosuch"]}`): 1}},
		{name: "an unreadable constraint restricts nothing", waiting: wants{on(slot, `{"nosuch":[]}`): 1}, want: demand{1, 1, 0, 1}},
		{name: "a rank with room", waiting: wants{on(slot, rank5): 1, on(slot, fast): 1}, want: demand{1, 2, 0, 6}},
		{name: "a busy rank", waiting: wants{on(node, rank5): 1}, busy: "5", want: demand{1, 4, 0, 6}},
		{name: "one of two ranks is busy", waiting: wants{on(node, `{"ranks":["1","5"]}`): 1}, busy: "1", want: demand{1, 4, 0, 6}},

		{name: "a GPU", waiting: wants{gpu: 1}, want: demand{1, 1, 1, 5}},
		{name: "GPUs of two nodes", waiting: wants{slots(gpu, 3): 1}, want: demand{2, 3, 3, 6}},
		{name: "as many as exist", waiting: wants{slots(gpu, 8): 1}, want: demand{4, 8, 8, 8}},
		{name: "more than exist", waiting: wants{slots(gpu, 9): 1}},
		{name: "more than a node has", waiting: wants{{slots: 1, cores: 1, gpus: 3}: 1}},
		{name: "nodes with GPUs", waiting: wants{{nodes: 2, slots: 1, cores: 1, gpus: 2}: 1}, want: demand{2, 2, 4, 6}},
		{name: "cores beside GPUs", waiting: wants{gpu: 1, slots(slot, 3): 1}, want: demand{2, 4, 1, 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			busy := cluster(t).On(set(t, test.busy))
			got := demandOf(situation{
				all: cluster(t), allocated: busy, waiting: test.waiting,
				drained: set(t, test.broken), broken: set(t, test.broken),
			})
			assert.Equal(t, test.want, got)
		})
	}
}

// TestDemandIsBounded checks that numbers that a user controls neither overflow nor exceed the resources.
func TestDemandIsBounded(t *testing.T) {
	r := flux.Resources{Nodes: []flux.NodeResources{{Rank: 0, Cores: flux.IDRange(0, 3), GPUs: flux.IDRange(0, 1)}}}
	node := jobRequest{nodes: 1, exclusive: true, slots: 1 << 24, cores: 1, gpus: 1}
	got := demandOf(situation{all: r, waiting: map[jobRequest]int{node: 3}})
	assert.Equal(t, 6, got.pendingGPUs, "three nodes with two GPUs each")
	got = demandOf(situation{all: r, waiting: map[jobRequest]int{{nodes: 1, exclusive: true, slots: 1, cores: 1}: 1 << 62}})
	assert.Equal(t, maxDemand, got.pendingCores)
	assert.Equal(t, maxDemand, sum(maxDemand, maxDemand))
	assert.Equal(t, maxDemand, product(1<<62, 1<<62))
}

// Ranks that are undrained soon are not replaced.
func TestBrokenRanks(t *testing.T) {
	status := flux.ResourceStatus{Online: set(t, "0-3,6"), Offline: set(t, "4-5,7-9"), Drained: []flux.Drained{
		{Ranks: set(t, "1,4"), Reason: "broken fan"},
		{Ranks: set(t, "8-9"), Reason: control.Reason},
		{Ranks: set(t, "2,5,7"), Reason: control.NodePrefix + "a: cordoned"},
	}}
	assert.Equal(t, set(t, "1-2,4"), brokenRanks(status), "the pods of ranks 5 and 7 have left the node, that of rank 2 has not")
}
