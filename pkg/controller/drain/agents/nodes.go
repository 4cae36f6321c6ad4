package agents

import (
	"context"
	"errors"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/agentapi/control"
)

const (
	// minNodesInterval is the time from the first failed request about nodes to the next.
	minNodesInterval = time.Second
	// maxNodesInterval is the longest time between two requests that fail.
	maxNodesInterval = 30 * time.Second
)

// nodesRequest is the exchange about ranks on nodes that go away.
type nodesRequest struct {
	request control.Drain
	exchange[NodesAnswer]
	failures int
	// lead is the address of the lead broker that was asked last.
	lead string
}

// NodesAnswer is the result of a request about nodes.
type NodesAnswer struct {
	State control.DrainState
	// Err is why there is no state. Unsupported: the agent is of a release without this request.
	Err         error
	Unsupported bool
	// Failures is the number of requests that have failed since the last state.
	Failures int
}

// TakeNodes returns the answer to a request about nodes, once. Without an answer, it returns whether to ask now, and
// otherwise the time until then; 0 while an answer is outstanding.
func (c *Client) TakeNodes(key types.NamespacedName, uid types.UID, request control.Drain) (answer *NodesAnswer, ask bool, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.conn(key, uid).nodes
	changed := !reflect.DeepEqual(n.request, request)
	if changed && !n.pending {
		n.request = request
	}
	return n.take(changed, c.clock.Now())
}

// SetNodesLead tells the client which lead broker to ask about nodes. Another one than before is asked at once: an
// instance from an archive has lost its drains.
func (c *Client) SetNodesLead(key types.NamespacedName, uid types.UID, ip string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := &c.conn(key, uid).nodes; n.lead != ip && n.failures == 0 {
		n.next = time.Time{}
	}
}

// PauseNodes delays the next request about nodes.
func (c *Client) PauseNodes(key types.NamespacedName, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.conns[key]; a != nil {
		a.nodes.next = c.clock.Now().Add(d)
	}
}

// AskNodes sends ranks on nodes that go away to the agent at an address. The MiniCluster is woken when there is an
// answer.
func (c *Client) AskNodes(key types.NamespacedName, uid types.UID, ip string, port int32, request control.Drain) {
	c.mu.Lock()
	a := c.conn(key, uid)
	a.nodes.request, a.nodes.pending, a.nodes.lead = request, true, ip
	agent := a.agent
	c.mu.Unlock()
	c.run(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, control.Timeout)
		defer cancel()
		state, err := agent.Drain(ctx, ip, int(port), request)
		c.mu.Lock()
		a.nodes.finish(NodesAnswer{State: state, Err: err}, c.clock.Now())
		c.mu.Unlock()
		c.wake(key)
	})
}

// finish records the answer to a request.
func (n *nodesRequest) finish(answer NodesAnswer, now time.Time) {
	n.pending, n.answer, n.next = false, &answer, time.Time{}
	if answer.Err == nil {
		n.failures = 0
		return
	}
	refused := (*control.RefusedError)(nil)
	answer.Unsupported = errors.As(answer.Err, &refused) && refused.Code < 500
	n.next = now.Add(min(minNodesInterval<<min(n.failures, 10), maxNodesInterval))
	n.failures++
	answer.Failures = n.failures
}
