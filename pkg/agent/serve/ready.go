package serve

import (
	"context"
	"errors"
	"fmt"

	"minicluster.internal/operator/pkg/flux"
)

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
