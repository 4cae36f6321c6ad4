package serve

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// Intervals at which readiness queries a broker that is not online yet.
const (
	startInterval    = 10 * time.Millisecond
	startIntervalMax = 200 * time.Millisecond
)

// readiness answers the readiness probe.
type readiness struct {
	broker *conn
	// lead: the broker has rank 0.
	lead bool
	// wasOnline: the broker has been online.
	wasOnline atomic.Bool
}

// check returns why the broker is not online. As long as it has never been, check waits for it until ctx ends: the
// kubelet repeats a probe only after a second, and the pod becomes ready that much later.
func (r *readiness) check(ctx context.Context) error {
	wait := startInterval
	var last error
	for {
		err := ready(ctx, r.broker, r.lead)
		switch {
		case err == nil:
			r.wasOnline.Store(true)
			return nil
		case r.wasOnline.Load():
			return err
		case last == nil || ctx.Err() == nil: // a query that ctx interrupted says nothing new
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(wait):
		}
		wait = min(wait*3/2, startIntervalMax)
	}
}

// ready returns why the broker of this pod is not ready, nil if it is. A follower is ready when it has joined the
// instance: it runs, or waits with the lead for the quorum. So the pods of a cluster without its quorum show which of
// them are present. The lead is ready when it has its quorum and runs: only then does the cluster work.
//
// Only the pod's own broker is queried. It leaves these states by itself when it loses its parent, and probes of
// every pod would be a load for the lead.
func ready(ctx context.Context, broker *conn, lead bool) error {
	client, err := broker.client(ctx)
	if err != nil {
		return fmt.Errorf("no connection to the broker: %w", err)
	}
	state, err := client.State(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the broker does not respond")
	case err != nil:
		return fmt.Errorf("reading the state of the broker: %w", err)
	case state == flux.StateRun, state == flux.StateQuorum && !lead:
		return nil
	case state == flux.StateQuorum:
		return errQuorum(ctx, client)
	default:
		return fmt.Errorf("the broker is in state %s", state)
	}
}

// errQuorum describes a lead that waits for its quorum.
func errQuorum(ctx context.Context, client *flux.Client) error {
	const waits = "the lead broker waits for its quorum"
	quorum, err := client.Attr(ctx, "broker.quorum")
	if err != nil {
		return errors.New(waits)
	}
	online, err := client.Group(ctx, flux.GroupOnline)
	if err != nil {
		return fmt.Errorf("%s of %s brokers", waits, quorum)
	}
	return fmt.Errorf("%s: %d of %s brokers are online", waits, online.Count(), quorum)
}
