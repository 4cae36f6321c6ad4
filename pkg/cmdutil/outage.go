package cmdutil

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// Limits of the delay before a request that could not be sent is retried.
const (
	outageRetryBase = 100 * time.Millisecond
	outageRetryMax  = 2 * time.Second
)

// outage delays requests while no connection to the API server can be established. Otherwise
// they would fail, and their callers would retry with delays of up to 30 seconds (watches, by
// client-go) or a minute (syncs), long after the server has become available again. A waiting
// request blocks its worker, which limits the number of attempts. Only requests that have not been
// sent are retried.
type outage struct {
	// end is closed when the process shuts down. Requests then stop waiting.
	end    <-chan struct{}
	logger klog.Logger
	down   atomic.Bool
}

// WithConnectRetry returns a copy of a config whose clients retry until a connection can be
// established or the context ends.
func WithConnectRetry(ctx context.Context, config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	o := &outage{end: ctx.Done(), logger: klog.FromContext(ctx)}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &outageTransport{outage: o, next: next} })
	return config
}

type outageTransport struct {
	*outage
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *outageTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	for pause := outageRetryBase; ; pause = min(2*pause, outageRetryMax) {
		response, err := t.next.RoundTrip(r)
		if !unsent(err) {
			if err == nil && t.down.CompareAndSwap(true, false) {
				t.logger.Info("Connected to the API server again")
			}
			return response, err
		}
		if t.down.CompareAndSwap(false, true) {
			t.logger.Error(err, "Failed to connect to the API server, retrying")
		}
		again, ok := rewound(r)
		if !ok || !t.wait(r.Context(), pause) {
			return nil, err
		}
		r = again
	}
}

// wait reports whether the request should be retried.
func (t *outageTransport) wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause/2 + rand.N(pause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-t.end:
		return false
	}
}

// WrappedRoundTripper returns the wrapped transport, as client-go expects.
func (t *outageTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// unsent reports whether a request was certainly not sent, because no connection was established.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// rewound returns a copy of a request with a new body: the transport has closed the previous one.
func rewound(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again := *r
	again.Body = body
	return &again, true
}
