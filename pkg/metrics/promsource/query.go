package promsource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"k8s.io/klog/v2"
)

// state of a query, as reported by the metric minicluster_metrics_queries.
type state string

const (
	// stateNew means that the query has not run yet.
	stateNew state = "new"
	// stateOK means that the last run succeeded.
	stateOK state = "ok"
	// stateFailed means that the last run failed.
	stateFailed state = "failed"
	// stateInvalid means that the entry or the query is invalid.
	stateInvalid state = "invalid"
)

func states() []state { return []state{stateNew, stateOK, stateFailed, stateInvalid} }

// query is an entry of the ConfigMap with the result of its last run.
type query struct {
	// name and text of the entry.
	name, text string
	definition definition
	// invalid is not nil if the entry is invalid.
	invalid error

	mu sync.Mutex
	// last is the last run, which may be in progress.
	last *run
	// before is the previous run without its answer.
	before *run
}

// run is one execution of a query.
type run struct {
	// done is closed when the other fields are set.
	done   chan struct{}
	ended  time.Time
	answer *answer
	err    error
}

func (r *run) isDone() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// runner executes queries.
type runner struct {
	prometheus promv1.API
	timeout    time.Duration
	interval   time.Duration
	// slots limit the number of concurrent queries.
	slots chan struct{}
	// onEnd is called after each run.
	onEnd func(result state, took time.Duration)
}

// get returns an answer of a query that is at most an interval old. The first caller starts a run, and
// later ones wait for the same run. It continues if the callers stop waiting.
func (r *runner) get(ctx context.Context, q *query) (*answer, error) {
	if q.invalid != nil {
		return nil, q.invalid
	}
	run := r.start(ctx, q)
	select {
	case <-run.done:
		return run.answer, run.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the result: %w", ctx.Err())
	}
}

// start returns a recent run, or one that is in progress, or starts one.
func (r *runner) start(ctx context.Context, q *query) *run {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.last != nil && (!q.last.isDone() || time.Since(q.last.ended) < r.interval) {
		return q.last
	}
	if q.last != nil {
		q.before = &run{done: q.last.done, ended: q.last.ended, err: q.last.err}
	}
	q.last = &run{done: make(chan struct{})}
	go r.run(context.WithoutCancel(ctx), q, q.last, q.before)
	return q.last
}

func (r *runner) run(ctx context.Context, q *query, now, before *run) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	begin := time.Now()
	select {
	case r.slots <- struct{}{}:
		now.answer, now.err = ask(ctx, r.prometheus, &q.definition, r.timeout)
		<-r.slots
	case <-ctx.Done():
		now.err = errors.New("timed out waiting for other queries")
	}
	now.ended = time.Now()
	close(now.done)

	logger := klog.FromContext(ctx).WithValues("query", q.name)
	switch result := now.state(); {
	case now.err != nil && (before == nil || before.state() != result):
		logger.Info("Query failed", "state", result, "reason", now.err.Error())
	case now.err == nil && before != nil && before.err != nil:
		logger.Info("Query succeeded again")
	}
	r.onEnd(now.state(), now.ended.Sub(begin))
}

// state returns the state after a run that has ended.
func (r *run) state() state {
	switch {
	case r.err == nil:
		return stateOK
	case errors.Is(r.err, errInvalidQuery):
		return stateInvalid
	default:
		return stateFailed
	}
}

// state returns the state after the last run that has ended.
func (q *query) state() state {
	if q.invalid != nil {
		return stateInvalid
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range []*run{q.last, q.before} {
		if r != nil && r.isDone() {
			return r.state()
		}
	}
	return stateNew
}
