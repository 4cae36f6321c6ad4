package serve

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
)

// maxDrainRequest limits the body of a request to drain ranks, in bytes: an entry for each of many nodes.
const maxDrainRequest = 2 << 20

// nodeDrainHandler serves the request about ranks on nodes that go away.
func nodeDrainHandler(broker *conn, turn chan struct{}, ages *drainAges, own plan.RankMap) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in control.Drain
		if !decodeUpTo(w, r, &in, maxDrainRequest) {
			return
		}
		if len(in.Nodes) > control.MaxDrains {
			answer(w, http.StatusBadRequest, fmt.Sprintf("more than %d nodes", control.MaxDrains))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), control.Timeout)
		defer cancel()
		state, err := takeTurn(ctx, turn, func() (control.DrainState, error) {
			client, err := broker.client(ctx)
			if err != nil {
				return control.DrainState{}, err
			}
			return drainNodes(ctx, client, ages, own, in.Nodes, time.Now())
		})
		if err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		if !state.Drained.Empty() || !state.Returned.Empty() {
			klog.FromContext(ctx).Info("Drained ranks because of their nodes", "drained", state.Drained.String(),
				"returned", state.Returned.String(), "busy", state.Busy.String())
		}
		respond(w, r, state)
	}
}

// drainNodes drains the ranks of pods whose nodes go away, undrains all others that were drained for that reason, and
// returns what runs there. A rank that is drained for any reason keeps that reason. It is idempotent.
func drainNodes(ctx context.Context, client *flux.Client, ages *drainAges, own plan.RankMap, nodes []control.NodeDrain, now time.Time) (control.DrainState, error) {
	status, err := client.ResourceStatus(ctx)
	if err != nil {
		return control.DrainState{}, fmt.Errorf("reading drained ranks: %w", err)
	}
	var wanted, drained flux.IDSet
	already := status.DrainedRanks()
	for _, node := range nodes {
		ranks := ranksOf(own, node.Indexes).Intersect(status.Online.Union(status.Offline))
		wanted = wanted.Union(ranks)
		// Excluded ranks run no jobs, and cannot be drained.
		missing := ranks.Without(already).Without(drained).Without(status.Exclude)
		if err := client.Drain(ctx, missing, node.Text()); err != nil {
			return control.DrainState{}, fmt.Errorf("drain %s: %w", missing, err)
		}
		drained = drained.Union(missing)
	}
	returned, err := undrainNodes(ctx, client, status, wanted)
	if err != nil {
		return control.DrainState{}, err
	}
	ages.update(already.Union(drained), now)
	online := status.Online
	if len(own) > 0 {
		online = online.Intersect(rankSet(own))
	}
	all, err := busyRanks(ctx, client, wanted.Union(online))
	if err != nil {
		return control.DrainState{}, err
	}
	busy := wanted.Intersect(all)
	idle := wanted.Without(busy).Without(drained)
	for rank := range idle.All() {
		if one := flux.IDs(rank); !ages.settled(one, now) {
			idle = idle.Without(one)
		}
	}
	return control.DrainState{
		Busy: indexesOf(own, busy), Idle: indexesOf(own, idle), Free: indexesOf(own, online.Without(all)),
		Drained: indexesOf(own, drained), Returned: indexesOf(own, returned),
	}, nil
}

// undrainNodes undrains ranks that were drained because of their nodes, except the wanted ones.
func undrainNodes(ctx context.Context, client *flux.Client, status flux.ResourceStatus, wanted flux.IDSet) (flux.IDSet, error) {
	var all flux.IDSet
	for _, d := range status.Drained {
		ranks := d.Ranks.Without(wanted)
		if !strings.HasPrefix(d.Reason, control.NodePrefix) || ranks.Empty() {
			continue
		}
		returned, err := client.Undrain(ctx, ranks, d.Reason)
		if err != nil {
			return flux.IDSet{}, fmt.Errorf("undrain %s: %w", ranks, err)
		}
		all = all.Union(returned)
	}
	return all, nil
}

// busyRanks returns the ranks of a set that run something. Rank 0 is busy while anything runs in the instance.
func busyRanks(ctx context.Context, client *flux.Client, ranks flux.IDSet) (flux.IDSet, error) {
	if ranks.Empty() {
		return flux.IDSet{}, nil
	}
	sched, err := client.SchedStatus(ctx)
	if err != nil {
		return flux.IDSet{}, fmt.Errorf("find busy ranks: %w", err)
	}
	jobs, err := client.Jobs(ctx, flux.JobRunning, maxRunning)
	if err != nil {
		return flux.IDSet{}, fmt.Errorf("find running jobs: %w", err)
	}
	all := sched.Allocated.Ranks()
	for _, job := range jobs {
		all = all.Union(job.Ranks)
	}
	busy := all.Intersect(ranks)
	if !all.Empty() || len(jobs) > 0 {
		busy = busy.Union(ranks.Intersect(flux.IDs(0)))
	}
	return busy, nil
}

// ranksOf returns the ranks of pods by their completion indexes.
func ranksOf(own plan.RankMap, indexes flux.IDSet) flux.IDSet {
	if len(own) == 0 {
		return indexes
	}
	var ranks flux.IDSet
	for _, r := range own {
		for index := range indexes.Intersect(flux.IDRange(uint32(r.Index), uint32(r.Index+r.Count-1))).All() {
			ranks = ranks.Union(flux.IDs(uint32(r.Rank) + index - uint32(r.Index)))
		}
	}
	return ranks
}

// indexesOf returns the completion indexes of the pods with some ranks.
func indexesOf(own plan.RankMap, ranks flux.IDSet) flux.IDSet {
	if len(own) == 0 {
		return ranks
	}
	var indexes flux.IDSet
	for _, r := range own {
		for rank := range ranks.Intersect(flux.IDRange(uint32(r.Rank), uint32(r.Rank+r.Count-1))).All() {
			indexes = indexes.Union(flux.IDs(uint32(r.Index) + rank - uint32(r.Rank)))
		}
	}
	return indexes
}
