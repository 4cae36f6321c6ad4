package process

import (
	"net"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFreePort checks that a port can be used, and that it is not given twice.
func TestFreePort(t *testing.T) {
	port, err := FreePort(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, reserve(port), syscall.EADDRINUSE)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	defer listener.Close()
	assert.ErrorIs(t, tryPort(t.Context(), port), syscall.EADDRINUSE)
}
