package process

import (
	"context"
	"net/http"
	"testing"

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
