package cmdutil

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// Bounds of the pause before a request that could not be sent is tried again.
const (
	outageRetryBase = 100 * time.Millisecond
	outageRetryMax  = 2 * time.Second
)

// outage makes requests wait while no connection to the API server can be made. They
// would fail otherwise, and be made again at intervals that grow to half a minute
// (watches, by client-go) and a minute (syncs): long after the server is back. A
// request that waits keeps its worker busy, so the longer the outage, the fewer tries.
// Only what has not been sent at all is tried again.
type outage struct {
	// end is closed when the process is to end: nothing waits any more.
	end    <-chan struct{}
	logger klog.Logger
	down   atomic.Bool
}

// WithConnectRetry makes the clients of a configuration sit an outage out, until the context
// ends.
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

// RoundTrip sends a request.
func (t *outageTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	for pause := outageRetryBase; ; pause = min(2*pause, outageRetryMax) {
		response, err := t.next.RoundTrip(r)
		if !unsent(err) {
			if err == nil && t.down.CompareAndSwap(true, false) {
				t.logger.Info("The API server answers again")
			}
			return response, err
		}
		if t.down.CompareAndSwap(false, true) {
			t.logger.Error(err, "The API server can't be reached, waiting until it answers")
		}
		again, ok := rewound(r)
		if !ok || !t.wait(r.Context(), pause) {
			return nil, err
		}
		r = again
	}
}

// wait tells whether it is worth while to try again.
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

// WrappedRoundTripper lets client-go find the transport below.
func (t *outageTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// unsent tells whether a request has certainly not been sent: there was no connection
// to send it on.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// rewound is a request once more. The transport has closed the body of the first.
func rewound(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	var body io.ReadCloser
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again := *r
	again.Body = body
	return &again, true
}
