package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// DefaultDrainPatience is how long an agent that can't be reached is tried.
const DefaultDrainPatience = 10 * time.Second

// askTimeout is the longest that we wait for an agent's answer.
const askTimeout = control.Timeout

// Agent asks the agent of one cluster's lead; see [control.Client].
type Agent interface {
	// Resize tells it the size that the cluster is to have.
	Resize(ctx context.Context, ip string, port, size int) (control.State, error)
}

// agents remembers what is being said between us and the agents of leads. Questions are
// asked beside the workers, which an agent that does not answer must not hold up.
// Nothing here has to survive: whoever comes next asks again.
type agents struct {
	connect func(data map[string][]byte, host string) (Agent, error)
	clock   clock.PassiveClock
	wake    func(cache.ObjectName)
	// spawn runs a question beside the workers.
	spawn func(func(context.Context))

	mu    sync.Mutex
	talks map[cache.ObjectName]*talk
}

// talk is what is said to one agent.
type talk struct {
	uid types.UID
	// agent and ip are how to reach it, as far as known.
	agent Agent
	ip    string

	// size is the one that was asked about last; underway tells that it is being.
	size     int32
	underway bool
	cancel   context.CancelFunc
	// answer is one that nobody has heard yet.
	answer *answer
	// agreed is the size that the agent followed last, 0 when that is not known.
	agreed int32
	// next is when to ask again.
	next time.Time
	// failing is since when it can't be reached, and failures how often it was tried.
	failing  time.Time
	failures int
}

// answer is what came of a question.
type answer struct {
	state control.State
	err   error
	// hopeless: it is of no use to ask again.
	hopeless bool
	// failing is for how long there has been no good answer, and failures how many
	// bad ones.
	failing  time.Duration
	failures int
}

func newAgents(connect func(map[string][]byte, string) (Agent, error), c clock.PassiveClock, wake func(cache.ObjectName)) *agents {
	if connect == nil {
		connect = func(data map[string][]byte, host string) (Agent, error) { return control.NewClient(data, host) }
	}
	return &agents{
		connect: connect, clock: c, wake: wake, talks: map[cache.ObjectName]*talk{},
		spawn: func(ask func(context.Context)) { ask(context.Background()) }, // until Run has workers
	}
}

// of returns the talk with a MiniCluster's agent; mu is held.
func (a *agents) of(key cache.ObjectName, uid types.UID) *talk {
	t := a.talks[key]
	if t == nil || t.uid != uid {
		t.end()
		t = &talk{uid: uid}
		a.talks[key] = t
	}
	return t
}

func (t *talk) end() {
	if t != nil && t.cancel != nil {
		t.cancel()
	}
}

// forget drops all that is known of a MiniCluster's agent.
func (a *agents) forget(key cache.ObjectName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.talks[key].end()
	delete(a.talks, key)
}

// reset begins a new matter: what failed before does not count.
func (a *agents) reset(key cache.ObjectName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.talks[key]; t != nil {
		t.answer, t.next, t.failing, t.failures = nil, time.Time{}, time.Time{}, 0
	}
}

// hear returns the answer to a size, once. Without one it tells whether it is time to
// ask; if not, whoever waits is woken, or has to come again after a time.
func (a *agents) hear(key cache.ObjectName, uid types.UID, size int32) (heard *answer, ask bool, after time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.of(key, uid)
	if t.size != size {
		t.answer, t.next = nil, time.Time{}
	}
	switch {
	case t.underway:
		if t.size != size {
			t.end()
		}
		return nil, false, 0
	case t.answer != nil:
		heard, t.answer = t.answer, nil
		return heard, false, 0
	}
	after = t.next.Sub(a.clock.Now())
	return nil, after <= 0, max(after, 0)
}

// pause puts the next question off.
func (a *agents) pause(key cache.ObjectName, d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.talks[key]; t != nil {
		t.next = a.clock.Now().Add(d)
	}
}

// known returns how to reach the agent, as far as that is known.
func (a *agents) known(key cache.ObjectName, uid types.UID) (agent Agent, ip string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.of(key, uid)
	return t.agent, t.ip
}

// meet makes the client of an agent, with the data of the cluster's Secret.
func (a *agents) meet(key cache.ObjectName, uid types.UID, data map[string][]byte, host string) (Agent, error) {
	agent, err := a.connect(data, host)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of(key, uid).agent = agent
	return agent, nil
}

// locate records where the agent is, "" when it has to be looked for.
func (a *agents) locate(key cache.ObjectName, uid types.UID, ip string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of(key, uid).ip = ip
}

// agreed tells whether the agent has followed a size, and nothing else was asked since.
func (a *agents) agreed(key cache.ObjectName, size int32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.talks[key]
	return t != nil && !t.underway && t.agreed == size
}

// ask asks the agent about a size, beside the workers. Its MiniCluster is woken when
// there is an answer.
func (a *agents) ask(key cache.ObjectName, uid types.UID, port, size int32) {
	a.mu.Lock()
	t := a.of(key, uid)
	t.size, t.underway, t.agreed = size, true, 0
	agent, ip := t.agent, t.ip
	a.mu.Unlock()
	a.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		a.mu.Lock()
		t.cancel = cancel
		a.mu.Unlock()
		start := a.clock.Now()
		state, err := agent.Resize(ctx, ip, int(port), int(size))
		a.mu.Lock()
		t.underway, t.cancel = false, nil
		t.conclude(start, a.clock.Now(), answer{state: state, err: err})
		a.mu.Unlock()
		a.wake(key)
	})
}

// fail records, and returns, that the agent can't even be asked.
func (a *agents) fail(key cache.ObjectName, uid types.UID, size int32, err error) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, now := a.of(key, uid), a.clock.Now()
	t.size, t.agreed = size, 0
	t.conclude(now, now, answer{err: err})
	said := t.answer
	t.answer = nil
	return said
}

// conclude keeps an answer to a question that was asked at a time.
func (t *talk) conclude(asked, now time.Time, said answer) {
	if said.err == nil {
		t.agreed, t.failing, t.failures = t.size, time.Time{}, 0
	} else {
		if refused := (*control.RefusedError)(nil); !errors.As(said.err, &refused) {
			t.ip = "" // the lead may be another pod by now
		}
		if t.failing.IsZero() {
			t.failing = asked
		}
		t.failures++
		said.failing, said.failures = now.Sub(t.failing), t.failures
	}
	t.answer = &said
}
