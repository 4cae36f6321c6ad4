package cmdutil

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// server is an API server that is unreachable for the first requests.
type server struct {
	lack  int32 // requests that are still to fail
	err   error
	tries atomic.Int32
	tried func() // called for each request that fails, if set
	next  http.RoundTripper
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.tries.Add(1) <= s.lack {
		if s.tried != nil {
			s.tried()
		}
		if r.Body != nil {
			_, _ = io.ReadAll(r.Body)
			_ = r.Body.Close()
		}
		return nil, s.err
	}
	return s.next.RoundTrip(r)
}

func refused() error { return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} }

func clientOf(ctx context.Context, t *testing.T, s *server) (client *http.Client, url string) {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(echo.Close)
	config := &rest.Config{Host: echo.URL}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		s.next = next
		return s
	})
	client, err := rest.HTTPClientFor(WithConnectRetry(ctx, config))
	require.NoError(t, err)
	return client, echo.URL
}

func TestRequestsSitAnOutageOut(t *testing.T) {
	for name, body := range map[string]io.Reader{"without a body": nil, "with a body": strings.NewReader("hello")} {
		t.Run(name, func(t *testing.T) {
			s := &server{lack: 3, err: refused()}
			client, url := clientOf(t.Context(), t, s)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
			require.NoError(t, err)
			response, err := client.Do(r)
			require.NoError(t, err)
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			if body != nil {
				assert.Equal(t, "hello", string(text))
			}
			assert.Equal(t, int32(4), s.tries.Load())
		})
	}
}

func TestRequestsThatDoNotWait(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	short, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, tc := range []struct {
		name    string
		err     error
		process context.Context
		request context.Context
		body    io.Reader
		tried   func()
	}{
		{"the request may have been sent", syscall.ECONNRESET, t.Context(), t.Context(), nil, nil},
		{"the process ends", refused(), ended, t.Context(), nil, nil},
		{"the context of the request ends", refused(), t.Context(), short, nil, cancel},
		{"the body cannot be read again", refused(), t.Context(), t.Context(), io.MultiReader(strings.NewReader("hello")), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &server{lack: 1 << 20, err: tc.err, tried: tc.tried}
			client, url := clientOf(tc.process, t, s)
			r, err := http.NewRequestWithContext(tc.request, http.MethodPost, url, tc.body)
			require.NoError(t, err)
			_, err = client.Do(r) //nolint:bodyclose // there is no response
			require.ErrorIs(t, err, tc.err, "the connection error is returned")
			assert.Equal(t, int32(1), s.tries.Load())
		})
	}
}
