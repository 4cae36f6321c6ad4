package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/process"
)

// contender is one of the measured programs.
type contender string

const (
	// operatorTurn measures the operator.
	operatorTurn contender = "operator"
	// rawTurn measures the raw client.
	rawTurn contender = "raw"
	// floorTurn measures an operator without logic.
	floorTurn contender = "floor"
	// floorJobs are the Jobs that are resized in turn with the MiniClusters of floorTurn.
	floorJobs contender = "floorJobs"
	// writesTurn measures the raw client with existing MiniClusters: only the operator's own writes.
	writesTurn contender = "writes"
)

// turn is the round of one contender.
type turn struct {
	*lab
	who       contender
	process   *process.Process
	namespace string
	world     *world
	results   *results
	last      bool

	mu      sync.Mutex
	errands *json.Encoder
}

// measure runs all rounds.
func measure(ctx context.Context, o *options) (r *results, err error) {
	r = newResults(o)
	l, err := openLab(ctx, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for round := range o.Rounds {
		turns := []contender{rawTurn, operatorTurn, floorTurn, writesTurn}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, who := range turns {
			l.say("round %d of %d: %s", round+1, o.Rounds, who)
			if err := l.turn(ctx, who, r, round == o.Rounds-1); err != nil {
				return r, fmt.Errorf("round %d, %s: %w", round+1, who, err)
			}
		}
	}
	return r, nil
}

func (l *lab) turn(ctx context.Context, who contender, r *results, last bool) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &turn{lab: l, who: who, results: r, last: last}
	if t.namespace, err = l.namespace(ctx); err != nil {
		return err
	}
	if t.world, err = observe(ctx, l.kube, t.namespace); err != nil {
		return err
	}
	switch who {
	case operatorTurn:
		t.process, err = l.startOperator()
	case floorTurn:
		t.process, err = l.startSelf("the operator without logic", floorCommand)
	default:
		t.process, err = l.startRawClient()
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.process.Stop()) }()
	t.errands = json.NewEncoder(t.process.Input())
	return t.process.During(ctx, t.run)
}

// watches reports whether the contender notices MiniClusters by itself.
func (t *turn) watches() bool { return t.who == operatorTurn || t.who == floorTurn }

// run runs one round of a contender.
func (t *turn) run(ctx context.Context) error {
	// The first wait is for the operator to be ready, and warms up all programs.
	if err := t.warmUp(ctx); err != nil {
		return err
	}
	if err := t.phase(ctx, phaseCreate, t.create); err != nil {
		return err
	}
	if t.who == writesTurn {
		return t.delete(ctx)
	}
	if err := t.phase(ctx, phaseResize, t.resizeAll); err != nil {
		return err
	}
	if t.watches() && t.last {
		if err := t.phase(ctx, phaseSingles, t.resizeOneByOne); err != nil {
			return err
		}
	}
	if t.who == operatorTurn && t.last {
		if err := t.phase(ctx, phaseIdle, t.idle); err != nil {
			return err
		}
	}
	return t.phase(ctx, phaseDelete, t.delete)
}

// phase measures the cost of one part of a turn.
func (t *turn) phase(ctx context.Context, name phase, do func(context.Context) error) error {
	audit, err := t.cluster.Audit()
	if err != nil {
		return err
	}
	before, err := t.process.Usage()
	if err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if t.who == operatorTurn {
		if err := t.quiet(ctx, audit); err != nil {
			return err
		}
		counts, err := audit.Counts(t.options.User)
		if err != nil {
			return err
		}
		t.results.countRequests(name, counts)
	}
	after, err := t.process.Usage()
	if err != nil {
		return err
	}
	t.results.use(t.who, name, before, after)
	return nil
}

// quiet waits until the operator sends no more requests, or a timeout ends.
func (t *turn) quiet(ctx context.Context, audit *cluster.AuditLog) error {
	const (
		pause   = 4 * time.Second // longer than the status of a ready MiniCluster waits for its numbers
		atMost  = 20 * time.Second
		between = 200 * time.Millisecond
	)
	begin := time.Now()
	before, since := -1, begin
	for time.Since(begin) < atMost && time.Since(since) < pause {
		counts, err := audit.Counts(t.options.User)
		if err != nil {
			return err
		}
		if n := total(worth(counts)); n != before {
			before, since = n, time.Now()
		}
		if err := sleep(ctx, between); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) warmUp(ctx context.Context) error {
	exists := t.world.expect(jobsExist(1))
	mc, err := t.createMiniCluster(ctx, t.namespace, "warm-up")
	if err != nil {
		return err
	}
	if err := t.tell(mc, sizeAtFirst, true); err != nil {
		return err
	}
	if _, err := exists(ctx); err != nil {
		return fmt.Errorf("waiting for the first Job: %w", err)
	}
	if _, err := t.world.expect(podsRun(sizeAtFirst))(ctx); err != nil {
		return err
	}
	if err := t.deleteMiniCluster(ctx, t.namespace, "warm-up"); err != nil {
		return err
	}
	return t.waitUntilGone(ctx)
}

func (t *turn) waitUntilGone(ctx context.Context) error {
	if _, err := t.world.expect(nothingLeft)(ctx); err != nil {
		return err
	}
	return t.waitUntilEmpty(ctx, t.namespace)
}

// all runs a function for each of n MiniClusters, concurrently like many users.
func (l *lab) all(ctx context.Context, n int, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(l.options.Users)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
