package faults

import (
	"net/http"
	"slices"
	"sync"
)

// Injector modifies the requests of the clients whose transport it wraps. Its methods may be called concurrently.
type Injector struct {
	mu      sync.Mutex
	rules   []*Rule
	counts  map[string]int
	dead    chan struct{}
	streams map[*stream]struct{}
	gates   []*gate
}

// New returns an Injector without rules.
func New() *Injector {
	return &Injector{counts: map[string]int{}, dead: make(chan struct{}), streams: map[*stream]struct{}{}}
}

// Wrap wraps the transport of a client; for rest.Config.Wrap.
func (i *Injector) Wrap(next http.RoundTripper) http.RoundTripper {
	return &transport{injector: i, next: next}
}

// Every makes a rule apply to all requests that it matches.
const Every = 0

// Rule applies a fault to the k-th of the requests that it matches.
type Rule struct {
	injector *Injector
	match    Match
	k        int
	fault    Fault
	kill     bool

	// The Injector guards the following fields.
	seen    int
	removed bool
	hit     Request
	fired   chan struct{}
}

// Add applies a fault to the k-th of the requests that match from now on, counted from 1, or to each of them (Every).
func (i *Injector) Add(match Match, k int, fault Fault) *Rule {
	return i.add(&Rule{match: match, k: k, fault: fault})
}

// KillAt is Add, and the client is dead after the fault, see Kill. Requests that follow during the fault fail too.
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

// Fired returns a channel that is closed when the rule is applied for the first time.
func (r *Rule) Fired() <-chan struct{} { return r.fired }

// Hit returns the first request to which the rule was applied.
func (r *Rule) Hit() Request {
	r.injector.mu.Lock()
	defer r.injector.mu.Unlock()
	return r.hit
}

// Seen returns the number of requests that matched.
func (r *Rule) Seen() int {
	r.injector.mu.Lock()
	defer r.injector.mu.Unlock()
	return r.seen
}

// Remove removes a rule and reports whether it was applied.
func (r *Rule) Remove() bool {
	r.injector.mu.Lock()
	defer r.injector.mu.Unlock()
	r.removed = true
	r.injector.rules = slices.DeleteFunc(r.injector.rules, func(other *Rule) bool { return other == r })
	return r.hit != (Request{})
}

// Counts returns the number of requests by Request.String, including those that did not reach the server.
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

// choose counts a request and returns the first rule that applies to it.
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

// RoundTrip sends a request, or applies a fault.
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

// sender lets a fault send a request without applying the rules again.
type sender struct {
	*transport
	request Request
}

// RoundTrip sends a request.
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.send(s.request, r)
}

// WrappedRoundTripper lets client-go find the wrapped transport.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }
