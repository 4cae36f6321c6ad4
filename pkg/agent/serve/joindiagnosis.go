package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
)

const (
	// parentTimeout limits each of two steps: resolving the name of the parent, and connecting to it.
	parentTimeout = 500 * time.Millisecond
	// causeAge is how long a cause is cached, because any client may request it.
	causeAge = time.Second
)

// versionMismatch is what Flux says when a broker has another version than the broker that it wants to join. Its
// message has both versions.
const versionMismatch = "version mismatched with server"

// versionAdvice follows it.
const versionAdvice = "pods of the MiniCluster have different versions of Flux, for example because the tag of an image was moved " +
	"between their starts: use a digest or an immutable tag, and recreate the MiniCluster"

// joinDiagnosis finds out why the broker is not online. It uses the resolver and the network, which a probe must not
// do.
type joinDiagnosis struct {
	broker *conn
	// lead: the broker has rank 0.
	lead bool
	// ended describes how the broker ended last, "" if it never did.
	ended func() string

	mu   sync.Mutex
	last plan.Cause
	at   time.Time
}

func (c *joinDiagnosis) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := json.Marshal(c.cause(r.Context()))
	if err != nil {
		answer(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprintln(w, string(text))
}

func (c *joinDiagnosis) cause(ctx context.Context) plan.Cause {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || time.Since(c.at) > causeAge {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		c.last = c.find(ctx)
		c.at = time.Now()
	}
	return c.last
}

func (c *joinDiagnosis) find(ctx context.Context) plan.Cause {
	offline := ready(ctx, c.broker, c.lead)
	if offline == nil {
		return plan.Cause{Kind: plan.CauseNone}
	}
	cause := plan.Cause{Kind: plan.CauseBroker, Message: offline.Error()}
	if c.ended != nil {
		if ended := c.ended(); ended != "" {
			cause.Message += "; " + ended
			if strings.Contains(ended, versionMismatch) {
				cause.Message += "; " + versionAdvice
			}
		}
	}
	client, err := c.broker.client(ctx)
	if err != nil {
		return cause
	}
	if state, err := client.State(ctx); err != nil || state != flux.StateJoin {
		return cause
	}
	// The endpoint that the broker tries to join; flux-broker-attributes(7).
	endpoint, err := client.Attr(ctx, "tbon.parent-endpoint")
	parent, parseErr := url.Parse(endpoint)
	if err != nil || parseErr != nil || parent.Scheme != "tcp" || parent.Port() == "" {
		return cause
	}
	return reach(ctx, parent.Hostname(), parent.Port())
}

// reach connects to the parent of a broker that cannot join.
func reach(ctx context.Context, host, port string) plan.Cause {
	resolving, cancel := context.WithTimeout(ctx, parentTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(resolving, host)
	if err != nil {
		return plan.Cause{Kind: plan.CauseName, Message: fmt.Sprintf(
			"the host name of the broker to join, %s, does not resolve (%v): check that its pod exists, that its headless Service selects it, and that DNS works in this pod", host, nameError(err))}
	}
	address := net.JoinHostPort(addresses[0], port)
	dialer := net.Dialer{Timeout: parentTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return plan.Cause{Kind: plan.CauseNetwork, Message: fmt.Sprintf("the pod of the broker to join, %s (%s), is reachable, but no broker listens there yet", host, address)}
	case err != nil:
		return plan.Cause{Kind: plan.CauseNetwork, Message: fmt.Sprintf("the broker to join, %s, cannot be reached (%v): network policies and firewalls between nodes must allow traffic between pods", host, err)}
	}
	conn.Close()
	return plan.Cause{Kind: plan.CauseLead, Message: fmt.Sprintf(
		"the broker to join, %s (%s), is reachable, but does not accept this broker: it is starting, or has another certificate, host list or version of Flux; see the log of its pod", host, address)}
}

// nameError removes the addresses of resolvers and other text that changes between attempts.
func nameError(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	return err
}
