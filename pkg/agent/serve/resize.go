package serve

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
)

const (
	// settleTime is how long ranks have to be drained before they count as idle: the scheduler learns of a drain with
	// a delay, and may place a job there until then.
	settleTime = 500 * time.Millisecond
	// maxRunning limits the number of inspected jobs.
	maxRunning = 10_000
)

// drainAges records since when ranks have been drained. The time in Flux is that of the wall clock, which may be set
// back.
type drainAges struct {
	since map[uint32]time.Time
}

// update records which ranks are drained now.
func (a *drainAges) update(drained flux.IDSet, now time.Time) {
	since := map[uint32]time.Time{}
	for rank := range drained.All() {
		if at, ok := a.since[rank]; ok {
			since[rank] = at
		} else {
			since[rank] = now
		}
	}
	a.since = since
}

// settled reports whether all drains of these ranks are old enough.
func (a *drainAges) settled(ranks flux.IDSet, now time.Time) bool {
	for rank := range ranks.All() {
		if at, ok := a.since[rank]; ok && now.Sub(at) < settleTime {
			return false
		}
	}
	return true
}

// resize adjusts drains to a size: the ranks to remove get no new jobs, and the ranks that stay are undrained if the
// agent drained them. Hosts of other clusters, which burst into the instance, are neither. It is idempotent.
func resize(ctx context.Context, client *flux.Client, ages *drainAges, own plan.RankMap, size int, now time.Time) (control.State, error) {
	status, err := client.ResourceStatus(ctx)
	if err != nil {
		return control.State{}, fmt.Errorf("reading drained ranks: %w", err)
	}
	stay, leave := splitRanks(own, size, status.Online)
	state := control.State{Leaving: leave}
	// Excluded ranks run no jobs, and cannot be drained.
	state.Drained = state.Leaving.Without(status.DrainedRanks()).Without(status.Exclude)
	if err := client.Drain(ctx, state.Drained, control.Reason); err != nil {
		return control.State{}, fmt.Errorf("drain %s: %w", state.Drained, err)
	}
	ages.update(status.DrainedRanks().Union(state.Drained), now)
	if !status.DrainedFor(control.Reason).Intersect(stay).Empty() {
		if state.Returned, err = client.Undrain(ctx, stay, control.Reason); err != nil {
			return control.State{}, fmt.Errorf("undrain ranks below %d: %w", size, err)
		}
	}
	if state.Leaving.Empty() {
		state.Idle = true
		return state, nil
	}
	if err := findBusy(ctx, client, &state); err != nil {
		return control.State{}, err
	}
	state.Idle = state.Busy.Empty() && state.Drained.Empty() && ages.settled(state.Leaving, now)
	return state, nil
}

// splitRanks returns the ranks of the cluster's own pods that stay, and those that are online and leave.
func splitRanks(own plan.RankMap, size int, online flux.IDSet) (stay, leave flux.IDSet) {
	if len(own) == 0 {
		stay = flux.IDRange(0, uint32(size-1))
		return stay, online.Without(stay)
	}
	stay = rankSet(own.Below(int32(size)))
	return stay, online.Intersect(rankSet(own)).Without(stay)
}

func rankSet(ranks plan.RankMap) flux.IDSet {
	var set flux.IDSet
	for _, r := range ranks {
		set = set.Union(flux.IDRange(uint32(r.Rank), uint32(r.Rank+r.Count-1)))
	}
	return set
}

// findBusy returns what runs on the ranks to remove: allocations of the scheduler, and running jobs.
func findBusy(ctx context.Context, client *flux.Client, state *control.State) error {
	sched, err := client.SchedStatus(ctx)
	if err != nil {
		return fmt.Errorf("find busy ranks: %w", err)
	}
	running, err := client.Jobs(ctx, flux.JobRunning, maxRunning)
	if err != nil {
		return fmt.Errorf("find running jobs: %w", err)
	}
	state.Busy = sched.Allocated.Ranks().Intersect(state.Leaving)
	for _, job := range running {
		if there := job.Ranks.Intersect(state.Leaving); !there.Empty() {
			state.Busy = state.Busy.Union(there)
			state.Jobs++
			there := control.Job{ID: job.ID.String(), Expiration: job.Expiration}
			state.LastJobs = append(state.LastJobs, there)
		}
	}
	slices.SortStableFunc(state.LastJobs, laterFirst)
	state.LastJobs = state.LastJobs[:min(len(state.LastJobs), control.MaxJobs)]
	return nil
}

// laterFirst orders jobs by the end of their time limits, those without one first.
func laterFirst(a, b control.Job) int {
	end := func(j control.Job) float64 {
		if j.Expiration == 0 {
			return math.Inf(1)
		}
		return j.Expiration
	}
	return cmp.Compare(end(b), end(a))
}
