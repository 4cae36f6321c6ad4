package supervise

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

const (
	// drainTimeout limits how long a stopping follower tries to drain its rank.
	drainTimeout = 2 * time.Second
	// undrainTimeout limits one attempt to undrain it. A broker that has not joined its parent yet does not answer.
	undrainTimeout = 10 * time.Second
	// undrainInterval is the first delay between two attempts, which doubles up to undrainMaxInterval.
	undrainInterval    = 100 * time.Millisecond
	undrainMaxInterval = 5 * time.Second
)

// drainRank drains the rank of a follower that is asked to stop while a job uses it. When the tasks of that job have
// ended, pending jobs would otherwise start on the rank, and be stopped one after the other, until the broker has left.
func (v *Supervisor) drainRank(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(drainTimeout, v.fluxTimeout()))
	defer cancel()
	drained, err := v.tryDrainRank(ctx)
	switch {
	case err != nil:
		klog.FromContext(ctx).Error(err, "Failed to drain the rank of this pod; jobs may start on it while it stops")
	case drained:
		klog.FromContext(ctx).Info("The rank of this pod is drained, because the pod stops")
	}
}

// tryDrainRank drains the rank of this pod, and reports whether that was necessary. A rank that is drained already
// keeps its reason.
func (v *Supervisor) tryDrainRank(ctx context.Context) (bool, error) {
	client, err := v.dial(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // there is no broker on which jobs could start
	}
	defer client.Close()
	rank, err := ownRank(ctx, client)
	if err != nil {
		return false, err
	}
	sched, err := client.SchedStatus(ctx)
	if err != nil {
		return false, fmt.Errorf("finding busy ranks: %w", err)
	}
	if !sched.Allocated.Ranks().Contains(rank) {
		return false, nil // the broker leaves at once
	}
	queues, err := client.Queues(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the queues: %w", err)
	}
	if !slices.ContainsFunc(queues, func(q flux.QueueStatus) bool { return q.Started }) {
		return false, nil // the whole cluster stops
	}
	if err := client.Drain(ctx, flux.IDs(rank), control.ReasonPodStops); err != nil {
		return false, fmt.Errorf("draining rank %d: %w", rank, err)
	}
	return true, nil
}

// undrainInBackground undrains the rank of this pod as soon as its broker has joined, if an earlier pod with the rank
// drained it when it stopped. The returned function ends the attempts.
func (v *Supervisor) undrainInBackground(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.undrainRank(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// undrainRank tries to undrain the rank of this pod until that succeeds.
func (v *Supervisor) undrainRank(ctx context.Context) {
	for delay := undrainInterval; ; delay = min(2*delay, undrainMaxInterval) {
		undrained, err := v.tryUndrainRank(ctx)
		if err == nil {
			if undrained {
				klog.FromContext(ctx).Info("The rank of this pod is undrained; an earlier pod had drained it when it stopped")
			}
			return
		}
		klog.FromContext(ctx).V(2).Info("The rank of this pod is not undrained yet", "reason", err.Error())
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return
		}
	}
}

func (v *Supervisor) tryUndrainRank(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, undrainTimeout)
	defer cancel()
	client, err := v.dial(ctx)
	if err != nil {
		return false, err
	}
	defer client.Close()
	rank, err := ownRank(ctx, client)
	if err != nil {
		return false, err
	}
	ranks, err := client.Undrain(ctx, flux.IDs(rank), control.ReasonPodStops)
	return !ranks.Empty(), err
}

// ownRank returns the rank of a broker.
func ownRank(ctx context.Context, client *flux.Client) (uint32, error) {
	text, err := client.Attr(ctx, "rank")
	if err != nil {
		return 0, fmt.Errorf("reading the rank of the broker: %w", err)
	}
	rank, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("reading the rank of the broker: %w", err)
	}
	return uint32(rank), nil
}
