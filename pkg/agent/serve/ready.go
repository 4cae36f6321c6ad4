package serve

import (
	"context"
	"errors"
	"fmt"

	"minicluster.internal/operator/pkg/flux"
)

// online says why the broker of this pod is not online, nil if it is: it has
// joined the instance, and works or waits with others for the quorum. A cluster
// that is short of its quorum shows so which of its pods are there.
//
// Only the pod's own broker is asked. It leaves these states by itself when it
// loses its parent, and a probe in each pod every second would be much for the
// lead.
func online(ctx context.Context, broker *conn) error {
	client, err := broker.client(ctx)
	if err != nil {
		return fmt.Errorf("there is no broker: %w", err)
	}
	state, err := client.State(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the broker does not answer")
	}
	if err != nil {
		return fmt.Errorf("the broker does not tell its state: %w", err)
	}
	if state != flux.StateRun && state != flux.StateQuorum {
		return fmt.Errorf("the broker is in state %s", state)
	}
	return nil
}
