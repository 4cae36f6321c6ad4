package cmdutil

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServeStopsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, "test", "127.0.0.1:0", http.NotFoundHandler()) }()
	stop()
	require.NoError(t, <-done)
	require.NoError(t, Serve(t.Context(), "test", "", nil), "no address, no server")
	require.ErrorContains(t, Serve(t.Context(), "health", "nonsense:port", nil), "listening for health")
}

// Any client may connect, so idle connections and large headers are limited.
func TestServerHasLimits(t *testing.T) {
	server := newServer(http.NotFoundHandler())
	for _, limit := range []time.Duration{server.ReadTimeout, server.WriteTimeout, server.IdleTimeout} {
		assert.Positive(t, limit)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	defer func() { assert.NoError(t, server.Close()) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	require.NoError(t, err)
	request.Header.Set("X-Large", strings.Repeat("x", 2*maxHeaderBytes))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
}
