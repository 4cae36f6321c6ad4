package initial

import (
	"context"
	"fmt"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/flux"
)

// hibernation returns the record of the hibernation of the cluster, nil if there is none. The record of the lead of
// another Job has no effect on this one.
func (r *runner) hibernation(ctx context.Context, o Options) *hibernate.Record {
	if o.Hibernation == "" {
		return nil
	}
	record, err := hibernate.Read(o.Hibernation)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Ignoring the hibernation")
		return nil
	}
	if record != nil && (record.Cluster != o.Cluster || record.Incarnation != r.Plan.Incarnation) {
		return nil
	}
	return record
}

// runUnless runs the user's program, unless the cluster hibernates: then it waits until the broker stops.
func (r *runner) runUnless(ctx context.Context, s *shutdown.Shutdown, withheld bool) pod.Outcome {
	if !withheld {
		return r.runProgram(ctx, s)
	}
	<-s.Done()
	return pod.Outcome{Stopped: true}
}

// undrain undrains the ranks of an instance from an archive that were drained for the controller.
func (r *runner) undrain(ctx context.Context) error {
	client, err := flux.Dial(ctx, r.fluxURI(), flux.AsUser(-1))
	if err != nil {
		return fmt.Errorf("undraining ranks: %w", err)
	}
	defer client.Close()
	return hibernate.UndrainRanks(ctx, client)
}

// wake gives the queues the state that they had before the hibernation, and the ranks that were drained before it for
// a smaller size or because of their nodes back to the scheduler. Then the hibernation of this cluster has ended; the
// record of another cluster, whose archive this one started from, stays.
func (r *runner) wake(ctx context.Context, o Options) error {
	record, err := hibernate.Read(o.Queues)
	if record == nil || err != nil {
		return err
	}
	client, err := flux.Dial(ctx, r.fluxURI(), flux.AsUser(-1))
	if err != nil {
		return fmt.Errorf("starting queues: %w", err)
	}
	defer client.Close()
	if err := hibernate.UndrainRanks(ctx, client); err != nil {
		return err
	}
	if err := record.RestoreQueues(ctx, client); err != nil {
		return err
	}
	if o.Queues != o.Hibernation {
		return nil
	}
	return hibernate.Remove(o.Hibernation)
}
