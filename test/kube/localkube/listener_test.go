package main

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListenTakesAFreePort(t *testing.T) {
	listener, err := listen(0)
	require.NoError(t, err)
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	require.True(t, ok)
	assert.True(t, address.IP.IsLoopback())
	assert.GreaterOrEqual(t, address.Port, firstPort)
	assert.LessOrEqual(t, address.Port, lastPort)

	_, err = listen(address.Port)
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
}
