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
	// wasOnline: the broker has been online.
	wasOnline atomic.Bool
}

// check returns why the broker is not online. As long as it has never been, check waits for it until ctx ends: the
// kubelet repeats a probe only after a second, and the pod becomes ready that much later.
func (r *readiness) check(ctx context.Context) error {
	wait := startInterval
	var last error
	for {
		err := online(ctx, r.broker)
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

// online returns why the broker of this pod is not online, nil if it is: it has joined the instance, and runs or
// waits for the quorum. In a cluster without quorum, the readiness of the pods shows which brokers are online.
//
// Only the pod's own broker is queried. It leaves these states by itself when it loses its parent, and probes of
// every pod would be a load for the lead.
func online(ctx context.Context, broker *conn) error {
	client, err := broker.client(ctx)
	if err != nil {
		return fmt.Errorf("no connection to the broker: %w", err)
	}
	state, err := client.State(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the broker does not respond")
	}
	if err != nil {
		return fmt.Errorf("reading the state of the broker: %w", err)
	}
	if state != flux.StateRun && state != flux.StateQuorum {
		return fmt.Errorf("the broker is in state %s", state)
	}
	return nil
}
