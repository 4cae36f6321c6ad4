package faults

import (
	"net/http"
	"slices"
	"sync"
)

// Injector breaks the requests of the clients whose transport it wraps. Its methods
// may be called concurrently.
type Injector struct {
	mu      sync.Mutex
	rules   []*Rule
	counts  map[string]int
	dead    chan struct{}
	streams map[*stream]struct{}
	gates   []*gate
}

// New makes an Injector that breaks nothing yet.
func New() *Injector {
	return &Injector{counts: map[string]int{}, dead: make(chan struct{}), streams: map[*stream]struct{}{}}
}

// Wrap puts the Injector between a client and its transport; for rest.Config.Wrap.
func (i *Injector) Wrap(next http.RoundTripper) http.RoundTripper {
	return &transport{injector: i, next: next}
}

// Every makes a rule break all requests that it matches.
const Every = 0

// Rule breaks the k-th of the requests that it matches.
type Rule struct {
	injector *Injector
	match    Match
	k        int
	fault    Fault
	kill     bool

	// The rest is guarded by the Injector.
	seen    int
	removed bool
	hit     Request
	fired   chan struct{}
}

// Add breaks the k-th of the requests that match from now on, counted from 1, or
// each of them (Every).
func (i *Injector) Add(match Match, k int, fault Fault) *Rule {
	return i.add(&Rule{match: match, k: k, fault: fault})
}

// KillAt is Add, and after the fault has been done the client is dead, see Kill.
// Requests that follow while the fault is being done are broken too.
func (i *Injector) KillAt(match Match, k int, fault Fault) *Rule {
	return i.add(&Rule{match: match, k: k, fault: fault, kill: true})
}

func (i *Injector) add(r *Rule) *Rule {
	r.injector, r.fired = i, make(chan struct{})
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules = append(i.rules, r)
	return r
}

// Fired is closed when the rule has begun to break its first request.
func (r *Rule) Fired() <-chan struct{} { return r.fired }

// Hit is the first request that was broken.
func (r *Rule) Hit() Request {
	r.injector.mu.Lock()
	defer r.injector.mu.Unlock()
	return r.hit
}

// Seen is the number of requests that matched.
func (r *Rule) Seen() int {
	r.injector.mu.Lock()
	defer r.injector.mu.Unlock()
	return r.seen
}

// Remove ends a rule and reports whether it has broken anything.
func (r *Rule) Remove() bool {
	r.injector.mu.Lock()
	defer r.injector.mu.Unlock()
	r.removed = true
	r.injector.rules = slices.DeleteFunc(r.injector.rules, func(other *Rule) bool { return other == r })
	return r.hit != (Request{})
}

// Counts says how often what was asked for, by Request.String. What was broken
// before it reached the server counts too.
func (i *Injector) Counts() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	counts := make(map[string]int, len(i.counts))
	for k, v := range i.counts {
		counts[k] = v
	}
	return counts
}

// Kill breaks all connections and all requests from now on.
func (i *Injector) Kill() {
	i.mu.Lock()
	if !i.isDead() {
		close(i.dead)
	}
	i.mu.Unlock()
	i.CutWatches(func(Request) bool { return true })
}

func (i *Injector) isDead() bool {
	select {
	case <-i.dead:
		return true
	default:
		return false
	}
}

// choose counts a request and finds the first rule that breaks it.
func (i *Injector) choose(request Request) (rule *Rule, dead bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.isDead() {
		return nil, true
	}
	i.counts[request.String()]++
	for _, r := range i.rules {
		if !r.match(request) {
			continue
		}
		r.seen++
		if rule != nil || (r.k != Every && r.k != r.seen) {
			continue
		}
		rule = r
		if r.hit == (Request{}) {
			r.hit = request
			close(r.fired)
		}
		if r.kill {
			close(i.dead)
		}
	}
	return rule, false
}

type transport struct {
	injector *Injector
	next     http.RoundTripper
}

// RoundTrip sends a request, or breaks it.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	request := parse(r)
	rule, dead := t.injector.choose(request)
	if dead {
		closeBody(r)
		return nil, errDead
	}
	if rule == nil {
		return t.send(request, r)
	}
	response, err := rule.fault(sender{t, request}, r)
	if rule.kill {
		t.injector.Kill()
		if err == nil {
			_ = response.Body.Close()
			return nil, errDead
		}
	}
	return response, err
}

func (t *transport) send(request Request, r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil || request.Verb != "watch" || response.StatusCode != http.StatusOK {
		return response, err
	}
	response.Body = t.injector.follow(request, response.Body)
	return response, nil
}

// sender lets a fault send a request, without meeting the rules again.
type sender struct {
	*transport
	request Request
}

// RoundTrip sends a request.
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.send(s.request, r)
}

// WrappedRoundTripper lets client-go find the transport below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }
