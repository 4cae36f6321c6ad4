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

// state of a query, as the process's own metric tells it.
type state string

const (
	// stateNew: it was not run yet.
	stateNew state = "new"
	// stateOK: it gave numbers when it was last run.
	stateOK state = "ok"
	// stateFailed: it gave none.
	stateFailed state = "failed"
	// stateInvalid: its entry, or the query itself, is wrong.
	stateInvalid state = "invalid"
)

func states() []state { return []state{stateNew, stateOK, stateFailed, stateInvalid} }

// query is an entry of the ConfigMap, with its last answer.
type query struct {
	// name of the entry, and its text.
	name, text string
	definition definition
	// wrong is what is wrong with the entry.
	wrong error

	mu sync.Mutex
	// last is the last run, which may be under way.
	last *run
	// before is how the run before it ended, without its answer.
	before *run
}

// run is one time that Prometheus was asked.
type run struct {
	// done is closed when the rest is there.
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

// runner runs queries.
type runner struct {
	prometheus promv1.API
	timeout    time.Duration
	interval   time.Duration
	// places bound how many are run at a time.
	places chan struct{}
	// changed is told when a run has ended.
	changed func(result state, took time.Duration)
}

// get is the answer of a query that is at most an interval old. Whoever asks first has it
// run; others wait for that, and it goes on when they go.
func (r *runner) get(ctx context.Context, q *query) (*answer, error) {
	if q.wrong != nil {
		return nil, q.wrong
	}
	run := r.start(ctx, q)
	select {
	case <-run.done:
		return run.answer, run.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for its answer: %w", ctx.Err())
	}
}

// start returns a run that has ended lately or is under way.
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
	case r.places <- struct{}{}:
		now.answer, now.err = ask(ctx, r.prometheus, &q.definition, r.timeout)
		<-r.places
	case <-ctx.Done():
		now.err = errors.New("other queries take all the time")
	}
	now.ended = time.Now()
	close(now.done)

	logger := klog.FromContext(ctx).WithValues("query", q.name)
	switch result := now.state(); {
	case now.err != nil && (before == nil || before.state() != result):
		logger.Info("No answer", "state", result, "reason", now.err.Error())
	case now.err == nil && before != nil && before.err != nil:
		logger.Info("Answers again")
	}
	r.changed(now.state(), now.ended.Sub(begin))
}

// state is that of a run which has ended.
func (r *run) state() state {
	switch {
	case r.err == nil:
		return stateOK
	case errors.Is(r.err, errRefused):
		return stateInvalid
	default:
		return stateFailed
	}
}

// state is that of the last run which has ended.
func (q *query) state() state {
	if q.wrong != nil {
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
