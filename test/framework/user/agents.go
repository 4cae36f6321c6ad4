package user

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/flux"
)

// Agents simulate the agents of simulated pods, whose addresses are unreachable: over TLS, with the certificates of
// each cluster's Secret.
type Agents struct {
	mu     sync.Mutex
	agents map[string]*Agent
}

// Agent simulates the agents of the clusters with one name.
type Agent struct {
	mu sync.Mutex
	// busy is the first rank with running jobs; refuse is the error of all answers.
	busy   uint32
	refuse string
	// unreachable: connections time out.
	unreachable bool
	// jobs are named in responses while ranks are busy.
	jobs  []control.Job
	sizes []int
	// nodes are the nodes of the last request about them, and runs says which indexes run something.
	nodes []control.NodeDrain
	runs  flux.IDSet
	// quorums are those that were sent.
	quorums []int
	from    uint32 // the lowest rank that is drained

	hibernation
}

// drainedNone is larger than any rank.
const drainedNone = 1 << 20

// Of returns the agent of the clusters with a name.
func (a *Agents) Of(name string) *Agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.agents == nil {
		a.agents = map[string]*Agent{}
	}
	if a.agents[name] == nil {
		a.agents[name] = &Agent{from: drainedNone}
	}
	return a.agents[name]
}

// Busy simulates a job on the ranks from one on; 0 ends it.
func (a *Agent) Busy(rank uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = rank
}

// Refuse makes all requests fail, until it is called with "".
func (a *Agent) Refuse(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = why
}

// Unreachable decides whether connections time out.
func (a *Agent) Unreachable(unreachable bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unreachable = unreachable
}

// errUnreachable returns the error of a connection that times out, nil if the agent is reachable.
func (a *Agent) errUnreachable() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.unreachable {
		return nil
	}
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
}

// Jobs sets the jobs that responses name while ranks are busy.
func (a *Agent) Jobs(jobs ...control.Job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs = jobs
}

// Sizes returns the requested sizes, without repetitions.
func (a *Agent) Sizes() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.sizes...)
}

// Run simulates jobs on the ranks of pods by their indexes, for requests about nodes.
func (a *Agent) Run(indexes ...uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs = flux.IDs(indexes...)
}

// Nodes returns the nodes of the last request about them, as "INDEXES: NODE: REASON".
func (a *Agent) Nodes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	texts := []string{}
	for _, n := range a.nodes {
		texts = append(texts, n.Indexes.String()+": "+n.Text())
	}
	return texts
}

// Quorums are the quorums that were sent.
func (a *Agent) Quorums() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.quorums...)
}

// Connect implements the option Connect of the controller.
func (a *Agents) Connect(data map[string][]byte, host string) (agents.Agent, error) {
	client, err := control.NewClient(data, host)
	if err != nil {
		return nil, err
	}
	config, err := control.ServerTLS(data)
	if err != nil {
		return nil, err
	}
	agent := a.Of(strings.TrimSuffix(host, "-0"))
	return &elsewhere{client: client, serve: func() (net.Listener, error) {
		if err := agent.errUnreachable(); err != nil {
			return nil, err
		}
		server := &http.Server{Handler: agent, TLSConfig: config, ReadHeaderTimeout: time.Minute}
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err == nil {
			go func() { _ = server.ServeTLS(listener, "", "") }()
		}
		return listener, err
	}}, nil
}

// elsewhere asks an agent that is not at the address of its pod. It listens during the request.
type elsewhere struct {
	client *control.Client
	serve  func() (net.Listener, error)
}

// Resize implements agents.Agent.
func (e *elsewhere) Resize(ctx context.Context, _ string, _, size int) (state control.State, err error) {
	err = e.listen(func(ip string, port int) error {
		state, err = e.client.Resize(ctx, ip, port, size)
		return err
	})
	return state, err
}

// LowerQuorum implements agents.Agent.
func (e *elsewhere) LowerQuorum(ctx context.Context, _ string, _, quorum int) error {
	return e.listen(func(ip string, port int) error { return e.client.LowerQuorum(ctx, ip, port, quorum) })
}

// Drain implements agents.Agent.
func (e *elsewhere) Drain(ctx context.Context, _ string, _ int, request control.Drain) (state control.DrainState, err error) {
	err = e.listen(func(ip string, port int) error {
		state, err = e.client.Drain(ctx, ip, port, request)
		return err
	})
	return state, err
}

// Hibernate implements agents.Agent.
func (e *elsewhere) Hibernate(ctx context.Context, _ string, _ int, request control.Hibernate) (state control.HibernateState, err error) {
	err = e.listen(func(ip string, port int) error {
		state, err = e.client.Hibernate(ctx, ip, port, request)
		return err
	})
	return state, err
}

// listen serves the agent during a request.
func (e *elsewhere) listen(request func(ip string, port int) error) error {
	listener, err := e.serve()
	if err != nil {
		return err
	}
	defer listener.Close()
	address := listener.Addr().(*net.TCPAddr)
	return request(address.IP.String(), address.Port)
}

// drain answers a request about nodes. The caller holds mu.
func (a *Agent) drain(nodes []control.NodeDrain) control.DrainState {
	indexes := func(nodes []control.NodeDrain) (all flux.IDSet) {
		for _, n := range nodes {
			all = all.Union(n.Indexes)
		}
		return all
	}
	before, now := indexes(a.nodes), indexes(nodes)
	a.nodes = nodes
	busy := now.Intersect(a.runs)
	return control.DrainState{Busy: busy, Idle: now.Without(busy), Free: flux.IDRange(0, 7).Without(a.runs), Drained: now.Without(before), Returned: before.Without(now)}
}

// ServeHTTP implements http.Handler.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var in struct {
		control.Resize
		control.Quorum
		control.Drain
		control.Hibernate
	}
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case a.refuse != "":
		http.Error(w, a.refuse, http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == control.PathHibernate {
		_ = json.NewEncoder(w).Encode(a.hibernate(in.Hibernate))
		return
	}
	if r.URL.Path == control.PathQuorum {
		a.quorums = append(a.quorums, in.Quorum.Quorum)
		_, _ = w.Write([]byte("{}"))
		return
	}
	if r.URL.Path == control.PathDrain {
		_ = json.NewEncoder(w).Encode(a.drain(in.Nodes))
		return
	}
	if n := len(a.sizes); n == 0 || a.sizes[n-1] != in.Size {
		a.sizes = append(a.sizes, in.Size)
	}
	size := uint32(in.Size)
	state := control.State{Leaving: flux.IDs(size), Idle: a.from <= size}
	a.from = size
	if a.busy > 0 {
		state.Busy, state.Jobs, state.Idle = flux.IDs(max(size, a.busy)), max(1, len(a.jobs)), false
		state.LastJobs = a.jobs
	}
	_ = json.NewEncoder(w).Encode(state)
}
