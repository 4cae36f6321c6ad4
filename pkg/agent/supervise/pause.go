package supervise

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
)

const (
	// pauseTimeout limits how long a stopping pod waits for the queues to be stopped.
	pauseTimeout = 5 * time.Second
	// pauseInterval is how often a follower queries the queues.
	pauseInterval = 100 * time.Millisecond
)

// pausesQueues reports whether the queues are stopped when the pod of the lead stops: pending jobs are kept, and must
// not start on brokers that are about to end, which would end the jobs, too. A launcher may need jobs to save its work,
// and submits its jobs again.
func (v *Supervisor) pausesQueues() bool {
	return (v.Plan.Archive.Path != "" || v.Plan.StateVolume != "") && v.Plan.Lead.Mode != plan.ModeLauncher
}

// pauseQueues stops the queues of a cluster with pending jobs when the pod of the lead is asked to stop, before the
// tasks of running jobs are. The next lead starts them: the record has their former state, and is written first. If
// that fails, for example because the volume is full, the queues stay as they are.
func (v *Supervisor) pauseQueues(ctx context.Context) {
	if !v.pausesQueues() || v.hibernation.Record() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(pauseTimeout, v.fluxTimeout()))
	defer cancel()
	paused, err := v.tryPause(ctx)
	switch {
	case err != nil:
		klog.FromContext(ctx).Error(err, "Failed to stop the queues; pending jobs may start while the pod stops")
	case paused:
		klog.FromContext(ctx).Info("The queues are stopped until the next start of the cluster")
	}
}

func (v *Supervisor) tryPause(ctx context.Context) (paused bool, err error) {
	client, err := v.dial(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // there is no broker whose jobs could start
	}
	defer client.Close()
	stats, err := client.JobStats(ctx)
	if err != nil || waiting(stats) == 0 {
		return false, err
	}
	queues, err := client.Queues(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the queues: %w", err)
	}
	if v.readOutcome() != nil {
		return false, nil // the program has ended before: the initial program may have stopped the queues, to save the jobs
	}
	record := &hibernate.Record{State: control.HibernateState{Phase: hibernate.PhaseWaking}}
	record.Remember(queues)
	if err := v.hibernation.Begin(record); err != nil {
		return false, err
	}
	if err := client.StopQueues(ctx, hibernate.PauseReason); err != nil {
		return false, fmt.Errorf("stopping the queues: %w", err) // the record stays: they may be stopped
	}
	return true, nil
}

// waiting returns the number of jobs that have not started.
func waiting(stats flux.JobStats) int {
	return stats.States.Depend + stats.States.Priority + stats.States.Sched
}

// awaitPause waits a limited time until the lead has stopped the queues. The pods of a Job that is suspended, which is
// how Kueue preempts it, stop at the same time: without that, jobs that pend would start on this rank as soon as its
// tasks have ended. A follower that stops alone, or has no jobs, does not wait for longer than it has to.
func (v *Supervisor) awaitPause(ctx context.Context) {
	index, err := v.Index()
	if err != nil || !v.pausesQueues() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(pauseTimeout, v.fluxTimeout()))
	defer cancel()
	client, err := v.dial(ctx)
	if err != nil {
		return
	}
	defer client.Close()
	ticker := time.NewTicker(pauseInterval)
	defer ticker.Stop()
	for mayStartJobs(ctx, client, uint32(index)) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// mayStartJobs reports whether jobs wait for a busy rank. What can't be read is not waited for.
func mayStartJobs(ctx context.Context, client *flux.Client, rank uint32) bool {
	sched, err := client.SchedStatus(ctx)
	if err != nil || !sched.Allocated.Ranks().Contains(rank) {
		return false
	}
	stats, err := client.JobStats(ctx)
	if err != nil || waiting(stats) == 0 {
		return false
	}
	queues, err := client.Queues(ctx)
	return err == nil && slices.ContainsFunc(queues, func(q flux.QueueStatus) bool { return q.Started })
}
