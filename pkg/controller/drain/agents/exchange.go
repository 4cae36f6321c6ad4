package agents

import (
	"context"
	"time"
)

// exchange is one kind of requests to an agent, of which at most one is outstanding, and their answers of type A.
type exchange[A any] struct {
	// pending: the answer is outstanding.
	pending bool
	// cancel cancels the outstanding request; nil if there is none, or if it is not canceled.
	cancel context.CancelFunc
	// answer is an answer that has not been taken yet.
	answer *A
	// next is when to ask again.
	next time.Time
}

// take returns the answer to a request, once. Without an answer, it returns whether to ask now, and otherwise the time
// until then; 0 while an answer is outstanding. If the request has changed since the last one, it drops the answer to
// that one, or cancels it.
func (e *exchange[A]) take(changed bool, now time.Time) (answer *A, ask bool, after time.Duration) {
	if changed {
		e.answer, e.next = nil, time.Time{}
	}
	switch {
	case e.pending:
		if changed {
			e.stop()
		}
		return nil, false, 0
	case e.answer != nil:
		answer, e.answer = e.answer, nil
		return answer, false, 0
	}
	after = e.next.Sub(now)
	return nil, after <= 0, max(after, 0)
}

// stop cancels the outstanding request.
func (e *exchange[A]) stop() {
	if e.cancel != nil {
		e.cancel()
	}
}
