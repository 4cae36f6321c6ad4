// Package agents is the client of the agents in the pods of MiniClusters. [Client] asks the agent of a lead broker to
// drain or undrain ranks; [JoinClient] asks the agent of any pod why its broker is offline. Both connect to pods, not
// to the API server. Do not decide here: package drain does.
package agents

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/controller/drain"
)

// Agent is the agent of the lead broker of one cluster; see [control.Client].
type Agent interface {
	// Resize sends the new size of the cluster to the agent.
	Resize(ctx context.Context, ip string, port, size int) (control.State, error)
	// LowerQuorum tells the agent a quorum that was lowered.
	LowerQuorum(ctx context.Context, ip string, port, quorum int) error
	// Drain sends the ranks on nodes that go away to the agent.
	Drain(ctx context.Context, ip string, port int, request control.Drain) (control.DrainState, error)
	// Hibernate asks the agent to stop the work and to save its state.
	Hibernate(ctx context.Context, ip string, port int, request control.Hibernate) (control.HibernateState, error)
}

// Connect returns an Agent for the data of a cluster's Secret and the host name of the lead.
type Connect func(data map[string][]byte, host string) (Agent, error)

// ConnectTLS connects over TLS, with the certificates in the Secret.
func ConnectTLS(data map[string][]byte, host string) (Agent, error) {
	return control.NewClient(data, host)
}

// Client asks agents in the background, so that an agent that does not answer does not block a worker. Its state may
// be lost: the next process asks again.
type Client struct {
	connect Connect
	clock   clock.PassiveClock
	wake    func(types.NamespacedName)
	run     func(func(context.Context))

	mu    sync.Mutex
	conns map[types.NamespacedName]*agentConn
}

// agentConn is the exchange with one agent.
type agentConn struct {
	uid types.UID
	// agent and ip are how to reach the agent, if known.
	agent Agent
	ip    string

	// size is the size of the last request.
	size int32
	exchange[drain.Answer]
	// acknowledged is the last size that the agent followed; 0 if unknown.
	acknowledged int32
	// failing is since when the agent has been unreachable, failures the number of attempts.
	failing  time.Time
	failures int

	// quorum is a lowered quorum that the agent does not know yet.
	quorum quorumRequest
	// nodes is the exchange about nodes that go away.
	nodes nodesRequest
	// hibernate is the last request to hibernate.
	hibernate hibernateRequest
	postponed postponed
}

// NewClient returns a Client. It calls run to run a request in the background, and wake when there is an answer for a
// MiniCluster.
func NewClient(connect Connect, c clock.PassiveClock, run func(func(context.Context)), wake func(types.NamespacedName)) *Client {
	return &Client{connect: connect, clock: c, run: run, wake: wake, conns: map[types.NamespacedName]*agentConn{}}
}

// conn returns the connection with the agent of a MiniCluster. The caller holds mu.
func (c *Client) conn(key types.NamespacedName, uid types.UID) *agentConn {
	a := c.conns[key]
	if a == nil || a.uid != uid {
		a.close()
		a = &agentConn{uid: uid}
		c.conns[key] = a
	}
	return a
}

func (a *agentConn) close() {
	if a != nil {
		a.stop()
		a.hibernate.stop()
	}
}

// Forget drops the records of a MiniCluster's agent.
func (c *Client) Forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[key].close()
	delete(c.conns, key)
}

// Reset starts a new request: earlier failures do not count.
func (c *Client) Reset(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.conns[key]; a != nil {
		a.answer, a.next, a.failing, a.failures = nil, time.Time{}, time.Time{}, 0
	}
}

// TakeResult returns the answer to a size, once. Without an answer, it returns whether to ask now, and otherwise the
// time until then; 0 while an answer is outstanding.
func (c *Client) TakeResult(key types.NamespacedName, uid types.UID, size int32) (answer *drain.Answer, ask bool, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.conn(key, uid)
	return a.take(a.size != size, c.clock.Now())
}

// Pause delays the next request.
func (c *Client) Pause(key types.NamespacedName, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.conns[key]; a != nil {
		a.next = c.clock.Now().Add(d)
	}
}

// Connection reports whether there is a client for the agent, and returns its address, "" if unknown.
func (c *Client) Connection(key types.NamespacedName, uid types.UID) (connected bool, ip string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.conn(key, uid)
	return a.agent != nil, a.ip
}

// Connect creates the client for an agent from the data of the cluster's Secret.
func (c *Client) Connect(key types.NamespacedName, uid types.UID, data map[string][]byte, host string) error {
	agent, err := c.connect(data, host)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn(key, uid).agent = agent
	return nil
}

// SetAddress records the address of the agent; "" if it must be looked up.
func (c *Client) SetAddress(key types.NamespacedName, uid types.UID, ip string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn(key, uid).ip = ip
}

// Acknowledged reports whether the agent followed a size, and has got no other request since.
func (c *Client) Acknowledged(key types.NamespacedName, size int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.conns[key]
	return a != nil && !a.pending && a.acknowledged == size
}

// Ask asks the agent to follow a size. The MiniCluster is enqueued when there is an answer.
func (c *Client) Ask(key types.NamespacedName, uid types.UID, port, size int32) {
	c.mu.Lock()
	a := c.conn(key, uid)
	a.size, a.pending, a.acknowledged = size, true, 0
	agent, ip := a.agent, a.ip
	c.mu.Unlock()
	c.run(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, control.Timeout)
		defer cancel()
		c.mu.Lock()
		a.cancel = cancel
		c.mu.Unlock()
		start := c.clock.Now()
		state, err := agent.Resize(ctx, ip, int(port), int(size))
		c.mu.Lock()
		a.pending, a.cancel = false, nil
		a.finish(start, c.clock.Now(), drain.Answer{State: state, Err: err})
		c.mu.Unlock()
		c.wake(key)
	})
}

// Fail records an agent that cannot be asked, and returns that as its answer.
func (c *Client) Fail(key types.NamespacedName, uid types.UID, size int32, err error) *drain.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, now := c.conn(key, uid), c.clock.Now()
	a.size, a.acknowledged = size, 0
	a.finish(now, now, drain.Answer{Err: err})
	answer := a.answer
	a.answer = nil
	return answer
}

// finish records the answer to a request with the time at which it was sent.
func (a *agentConn) finish(sent, now time.Time, answer drain.Answer) {
	if answer.Err == nil {
		a.acknowledged, a.failing, a.failures = a.size, time.Time{}, 0
	} else {
		refused := (*control.RefusedError)(nil)
		answer.Reached = errors.As(answer.Err, &refused)
		if !answer.Reached {
			a.ip = "" // another pod may be the lead by now
		}
		if a.failing.IsZero() {
			a.failing = sent
		}
		a.failures++
		answer.Failing, answer.Failures = now.Sub(a.failing), a.failures
	}
	a.answer = &answer
}
