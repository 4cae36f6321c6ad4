package supervise

import (
	"context"
	"fmt"
	"io"
	"time"

	"minicluster.internal/operator/pkg/agent/brokerlog"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
)

// brokerReserve is the part of the grace period that remains for the end of the agent, with the hook after Flux, when a
// broker that does not stop is killed.
func brokerReserve(grace time.Duration) time.Duration {
	return min(3*time.Second, grace/5)
}

// fluxTimeout is how long a stopping Flux waits for the end of jobs, and for followers to leave. Both fit into the
// reserve of the grace period.
func (v *Supervisor) fluxTimeout() time.Duration {
	return v.shutdown.Reserve() / 4
}

// startBroker starts a broker.
func (v *Supervisor) startBroker(run prepare.BrokerRun) (*reaper.Process, error) {
	args, err := v.instance.BrokerArgs(run)
	if err != nil {
		return nil, fmt.Errorf("making the command line of the broker: %w", err)
	}
	var out io.Writer
	if !v.Plan.Logging.Quiet {
		out = v.Stderr
	}
	if v.log, err = brokerlog.New(out, int(v.Plan.Broker.LogLevel)); err != nil {
		return nil, fmt.Errorf("making a pipe for the log of the broker: %w", err)
	}
	defer v.log.Started()
	p, err := v.table.Start(reaper.Command{
		Path: v.Path(args[0]), Args: args[1:], Env: v.instance.Env, Credential: v.instance.Credential,
		Stdin: v.Stdin, Stdout: v.Stdout, Stderr: v.log.File(),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	v.broker.Store(int64(p.PID))
	return p, nil
}

// stopBroker stops a broker in a way that lets it leave its parent at once, and kills it if it does not stop in time.
func (v *Supervisor) stopBroker(ctx context.Context, p *reaper.Process) {
	p.Stop(ctx, v.shutdown.Remaining(brokerReserve(v.shutdown.Grace())))
}

// backoff is the delay before a broker is restarted.
type backoff struct {
	delay time.Duration
	// early counts consecutive brokers that ended early: before the window.
	early int
	// window grows with each end, so that the count also includes brokers that repeatedly fail after a longer time.
	window time.Duration
}

const (
	backoffMin = 500 * time.Millisecond
	backoffMax = 8 * time.Second
	// earlyEnd is the lifetime below which the first broker counts as unable to start. Machines may be busy.
	earlyEnd = time.Minute
	// maxEarlyEnd is the largest window. A broker that lives for longer has worked.
	maxEarlyEnd = time.Hour
	// stable is the lifetime above which the next broker starts after the minimal delay.
	stable = 10 * time.Second
)

// next returns the delay after a broker with this lifetime.
func (b *backoff) next(lifetime time.Duration) time.Duration {
	if lifetime > stable {
		b.delay = 0
	}
	if lifetime > maxEarlyEnd {
		b.window = 0
	}
	b.window = max(b.window, earlyEnd)
	if lifetime > b.window {
		b.early = 0
	}
	b.early++
	b.window = min(2*b.window, maxEarlyEnd)
	b.delay = min(max(backoffMin, 2*b.delay), backoffMax)
	return b.delay
}
