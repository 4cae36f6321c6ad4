package main

import (
	"io"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// greet answers every connection with a word, until the listener is closed.
func greet(listener net.Listener) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				ended <- err
				return
			}
			_, _ = connection.Write([]byte("hello"))
			connection.Close()
		}
	}()
	return ended
}

func answer(t *testing.T, address string) string {
	t.Helper()
	connection, err := net.Dial("tcp4", address)
	require.NoError(t, err)
	defer connection.Close()
	content, err := io.ReadAll(connection)
	require.NoError(t, err)
	return string(content)
}

func TestJoinedListener(t *testing.T) {
	first, err := listen(0)
	require.NoError(t, err)
	second, err := listen(0)
	require.NoError(t, err)
	joined := join(first, second)
	assert.Equal(t, first.Addr(), joined.Addr())
	ended := greet(joined)
	for range 3 {
		assert.Equal(t, "hello", answer(t, first.Addr().String()))
		assert.Equal(t, "hello", answer(t, second.Addr().String()))
	}
	require.NoError(t, joined.Close())
	require.NoError(t, joined.Close(), "it can be closed again")
	require.ErrorIs(t, <-ended, net.ErrClosed)
	_, err = net.Dial("tcp4", second.Addr().String())
	assert.Error(t, err)
}

func TestOpenListenerUsesTheInheritedPort(t *testing.T) {
	// The address differs from 127.0.0.1 only so that both are available in one network namespace.
	listener, err := net.Listen("tcp4", "127.0.0.2:0")
	require.NoError(t, err)
	defer listener.Close()
	tcp, ok := listener.(*net.TCPListener)
	require.True(t, ok)
	file, err := tcp.File()
	require.NoError(t, err)

	opened, err := openListener(options{listenerFD: duplicate(t, file)})
	require.NoError(t, err)
	defer opened.Close()
	assert.Equal(t, listener.Addr(), opened.Addr())
	greet(opened)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.2", loopback} {
		assert.Equal(t, "hello", answer(t, net.JoinHostPort(host, port)), host)
	}
}

func TestOpenListenerRefuses(t *testing.T) {
	file, err := os.Open(os.DevNull)
	require.NoError(t, err)
	_, err = openListener(options{listenerFD: duplicate(t, file)})
	assert.ErrorContains(t, err, "inherited port")
}

func TestNodesReachTheAPIServer(t *testing.T) {
	listener, err := openListener(options{nodeAddress: "10.240.0.1"})
	require.NoError(t, err)
	defer listener.Close()
	greet(listener)
	address, ok := listener.Addr().(*net.TCPAddr)
	require.True(t, ok)
	assert.True(t, address.IP.IsUnspecified())
	assert.Equal(t, "hello", answer(t, net.JoinHostPort("127.0.0.3", strconv.Itoa(address.Port))))
}
