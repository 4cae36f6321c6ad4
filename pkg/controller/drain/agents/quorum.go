package agents

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/agentapi/control"
)

const (
	// minQuorumInterval is the time from the first failed attempt to send a quorum to the next.
	minQuorumInterval = time.Second
	// maxQuorumInterval is the longest time between two attempts.
	maxQuorumInterval = time.Minute
)

// quorumRequest is a lowered quorum that the agent of the lead has to learn.
type quorumRequest struct {
	// quorum is 0 if there is nothing to send.
	quorum   int32
	pending  bool
	next     time.Time
	failures int
}

// QuorumLowered records that the quorum of a MiniCluster was lowered: a lead that waits for it must be told. If this
// process ends before, the agent finds the quorum in the mounted ConfigMap.
func (c *Client) QuorumLowered(key types.NamespacedName, uid types.UID, quorum int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn(key, uid).quorum = quorumRequest{quorum: quorum}
}

// QuorumToSend returns the quorum that has to be sent now, 0 if there is none. If an attempt failed, it returns the
// time until the next one.
func (c *Client) QuorumToSend(key types.NamespacedName, uid types.UID) (quorum int32, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.conn(key, uid).quorum
	if q.quorum == 0 || q.pending {
		return 0, 0
	}
	if after = q.next.Sub(c.clock.Now()); after > 0 {
		return 0, after
	}
	return q.quorum, 0
}

// QuorumSent records that nothing has to be sent any more.
func (c *Client) QuorumSent(key types.NamespacedName, uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn(key, uid).quorum = quorumRequest{}
}

// SendQuorum sends the quorum to the agent at an address. The MiniCluster is woken when an attempt failed.
func (c *Client) SendQuorum(key types.NamespacedName, uid types.UID, ip string, port, quorum int32) {
	c.mu.Lock()
	a := c.conn(key, uid)
	a.quorum.pending = true
	agent := a.agent
	c.mu.Unlock()
	c.run(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, control.Timeout)
		defer cancel()
		err := agent.LowerQuorum(ctx, ip, int(port), int(quorum))
		c.mu.Lock()
		again := a.quorum.finish(quorum, err, c.clock.Now())
		c.mu.Unlock()
		if again {
			c.wake(key)
		}
	})
}

// finish records the result of an attempt, and reports whether another one is due. An agent that refuses the request
// is of an earlier release.
func (q *quorumRequest) finish(quorum int32, err error, now time.Time) (again bool) {
	q.pending = false
	if q.quorum != quorum {
		return true // it was lowered again
	}
	refused := (*control.RefusedError)(nil)
	if err == nil || errors.As(err, &refused) && refused.Code < 500 {
		*q = quorumRequest{}
		return false
	}
	q.next = now.Add(min(minQuorumInterval<<min(q.failures, 10), maxQuorumInterval))
	q.failures++
	return true
}
