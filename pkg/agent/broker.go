package agent

import (
	"context"
	"fmt"
	"time"

	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
)

// brokerReserve is what is left of the grace period for the end of the agent when a
// broker that doesn't stop is killed: time for the hook after Flux.
func brokerReserve(grace time.Duration) time.Duration {
	return min(3*time.Second, grace/5)
}

// startBroker starts a broker.
func (r *runner) startBroker(run prepare.BrokerRun) (*reaper.Process, error) {
	args, err := r.instance.BrokerArgs(run)
	if err != nil {
		return nil, fmt.Errorf("making the command line of the broker: %w", err)
	}
	p, err := r.table.Start(reaper.Command{
		Path: r.path(args[0]), Args: args[1:], Env: r.instance.Env, Credential: r.instance.Credential,
		Stdin: r.stdin, Stdout: r.stdout, Stderr: r.stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	return p, nil
}

// stopBroker stops a broker so that Flux sees it leave at once, and kills it when
// it does not stop in time.
func (r *runner) stopBroker(ctx context.Context, p *reaper.Process) {
	p.Stop(ctx, r.stop.Left(brokerReserve(r.stop.grace)))
}

// backoff is the wait before a broker is started again.
type backoff struct {
	wait time.Duration
	// fast counts brokers in a row that ended soon.
	fast int
}

const (
	backoffMin = 500 * time.Millisecond
	backoffMax = 8 * time.Second
	// soon is how long a broker lives at most that seems unable to start, on a machine
	// that is busy.
	soon = time.Minute
	// settled is how long one lives after which the next is started at once.
	settled = 10 * time.Second
)

// next is the wait after a broker that lived for that long.
func (b *backoff) next(lived time.Duration) time.Duration {
	if lived > settled {
		b.wait = 0
	}
	if lived > soon {
		b.fast = 0
	}
	b.fast++
	b.wait = min(max(backoffMin, 2*b.wait), backoffMax)
	return b.wait
}
