package agents

import (
	"context"
	"errors"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// HibernateAnswer is the answer to a request to hibernate.
type HibernateAnswer struct {
	State control.HibernateState
	// Err is why there is no state; Reached reports that the agent answered with an error.
	Err     error
	Reached bool
	// Permanent reports that a retry does not help: the agent is of an earlier release, or there is none.
	Permanent bool
	// Failing is the time since the first of the failed attempts, and Failures their number.
	Failing  time.Duration
	Failures int
}

// hibernateRequest is the last request to hibernate to an agent.
type hibernateRequest struct {
	request control.Hibernate
	exchange[HibernateAnswer]
	// failing is since when requests fail, failures their number.
	failing  time.Time
	failures int
}

// TakeHibernation returns the answer to a request to hibernate, once. If there is none, ask says whether to send the
// request now, and after is when it is due otherwise; 0 if it is in progress: its end wakes the MiniCluster.
func (c *Client) TakeHibernation(key types.NamespacedName, uid types.UID, request control.Hibernate) (answer *HibernateAnswer, ask bool, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.conn(key, uid).hibernate
	return h.take(!sameRequest(h.request, request), c.clock.Now())
}

func sameRequest(a, b control.Hibernate) bool {
	return a.Deadline.Equal(b.Deadline) && a.Query == b.Query && a.Idle == b.Idle && a.Discard == b.Discard && a.Cancel == b.Cancel
}

// PauseHibernation delays the next request to hibernate.
func (c *Client) PauseHibernation(key types.NamespacedName, uid types.UID, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn(key, uid).hibernate.next = c.clock.Now().Add(d)
}

// AskHibernation sends a request to hibernate. The MiniCluster is woken when it has ended.
func (c *Client) AskHibernation(key types.NamespacedName, uid types.UID, port int32, request control.Hibernate) {
	c.mu.Lock()
	a := c.conn(key, uid)
	a.hibernate.request, a.hibernate.pending = request, true
	agent, ip := a.agent, a.ip
	c.mu.Unlock()
	c.run(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, control.Timeout)
		defer cancel()
		c.mu.Lock()
		a.hibernate.cancel = cancel
		c.mu.Unlock()
		start := c.clock.Now()
		state, err := agent.Hibernate(ctx, ip, int(port), request)
		c.mu.Lock()
		a.hibernate.pending, a.hibernate.cancel = false, nil
		a.finishHibernate(start, c.clock.Now(), HibernateAnswer{State: state, Err: err})
		c.mu.Unlock()
		c.wake(key)
	})
}

// FailHibernation returns the answer to a request to hibernate that could not be sent.
func (c *Client) FailHibernation(key types.NamespacedName, uid types.UID, request control.Hibernate, err error) *HibernateAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, now := c.conn(key, uid), c.clock.Now()
	a.hibernate.request = request
	a.finishHibernate(now, now, HibernateAnswer{Err: err})
	answer := a.hibernate.answer
	a.hibernate.answer = nil
	return answer
}

func (a *agentConn) finishHibernate(sent, now time.Time, answer HibernateAnswer) {
	h := &a.hibernate
	h.answer = &answer
	if answer.Err == nil {
		h.failing, h.failures = time.Time{}, 0
		return
	}
	refused := (*control.RefusedError)(nil)
	answer.Reached = errors.As(answer.Err, &refused)
	answer.Permanent = answer.Reached && refused.Code == http.StatusNotFound
	if !answer.Reached {
		a.ip = "" // another pod may be the lead by now
	}
	if h.failing.IsZero() {
		h.failing = sent
	}
	h.failures++
	answer.Failing, answer.Failures = now.Sub(h.failing), h.failures
}
