package flux_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// patience is the timeout of conditions that must become true, also on a busy machine.
const patience = time.Minute

func newBroker(t *testing.T) *fluxtest.Broker {
	t.Helper()
	b, err := fluxtest.New()
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func dial(t *testing.T, socket string, opts ...flux.Option) *flux.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := flux.Dial(ctx, socket, opts...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestDial(t *testing.T) {
	b := newBroker(t)
	for _, socket := range []string{b.Path(), b.URI()} {
		c := dial(t, socket)
		assert.NoError(t, c.Err())
	}
	assert.Equal(t, 2, b.Connections())

	b.Refuse(syscall.EPERM)
	_, err := flux.Dial(t.Context(), b.URI())
	assert.ErrorIs(t, err, syscall.EPERM)

	for _, socket := range []string{"", "ssh://host/path", "local://"} {
		_, err := flux.Dial(t.Context(), socket)
		assert.ErrorContains(t, err, "neither a path nor a local:// URI", socket)
	}
	_, err = flux.Dial(t.Context(), filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, syscall.ENOENT)
}

// silent listens but never accepts, like a broker that does not respond.
func silent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return path
}

func TestDialGivesUpOnASilentBroker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := flux.Dial(ctx, silent(t))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

// A broker keeps only a few connections waiting; more get EAGAIN.
func TestDialWaitsForABusyBroker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	require.NoError(t, syscall.Listen(fd, 0))
	first, err := new(net.Dialer).DialContext(t.Context(), "unix", path)
	require.NoError(t, err)
	defer first.Close()

	// A timeout that is too short for one attempt on a busy machine is another error.
	for timeout := time.Second; timeout <= time.Minute && !errors.Is(err, syscall.EAGAIN); timeout *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, err = flux.Dial(ctx, path)
		cancel()
	}
	require.ErrorIs(t, err, syscall.EAGAIN)
	require.ErrorIs(t, err, context.DeadlineExceeded, "it retried until the timeout")

	result := make(chan error, 1)
	go func() {
		c, err := flux.Dial(t.Context(), path)
		if err == nil {
			c.Close()
		}
		result <- err
	}()
	for range 2 { // the first one, and then this one
		conn, _, err := syscall.Accept(fd)
		require.NoError(t, err)
		_, _ = syscall.Write(conn, []byte{0})
		defer syscall.Close(conn) //nolint:errcheck // a test
	}
	require.NoError(t, <-result)
	require.NoError(t, syscall.Close(fd))
}

func TestCall(t *testing.T) {
	b := newBroker(t)
	b.Handle("echo", func(r *fluxtest.Request) {
		var in any
		_ = r.Decode(&in)
		r.Respond(map[string]any{"in": in, "node": r.Node()})
	})
	c := dial(t, b.URI())

	var out struct {
		In   map[string]string
		Node uint32
	}
	require.NoError(t, c.Call(t.Context(), "echo", 7, map[string]string{"a": "b"}, &out))
	assert.Equal(t, map[string]string{"a": "b"}, out.In)
	assert.Equal(t, uint32(7), out.Node)
	require.NoError(t, c.Call(t.Context(), "echo", flux.AnyNode, nil, nil))

	err := c.Call(t.Context(), "echo", 0, func() {}, nil)
	assert.ErrorContains(t, err, "encode the request")
	err = c.Call(t.Context(), "echo", 0, nil, new(int))
	assert.ErrorContains(t, err, "echo: decode the response")
}

func TestCallFails(t *testing.T) {
	b := newBroker(t)
	b.Handle("drain", func(r *fluxtest.Request) { r.Error(syscall.EPERM, "Request requires owner credentials") })
	c := dial(t, b.URI())

	err := c.Call(t.Context(), "drain", 0, nil, nil)
	var answer *flux.Error
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, flux.Error{Topic: "drain", Errno: syscall.EPERM, Text: "Request requires owner credentials"}, *answer)
	assert.ErrorIs(t, err, syscall.EPERM)
	assert.EqualError(t, err, "drain: Request requires owner credentials (operation not permitted)")
	assert.False(t, flux.NotOffered(err))

	err = c.Call(t.Context(), "nothing", 0, nil, nil)
	assert.True(t, flux.NotOffered(err))
	assert.EqualError(t, err, "nothing: function not implemented")
	assert.False(t, flux.NotOffered(fmt.Errorf("other: %w", syscall.ENOSYS)), "not an answer of a broker")
}

// Concurrent calls that are answered in another order.
func TestConcurrentCalls(t *testing.T) {
	b := newBroker(t)
	var last sync.WaitGroup
	const calls = 200
	last.Add(calls)
	b.Handle("echo", func(r *fluxtest.Request) {
		last.Done()
		last.Wait() // all are sent before the first is answered
		var in int
		_ = r.Decode(&in)
		r.Respond(in)
	})
	c := dial(t, b.URI())
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			var out int
			assert.NoError(t, c.Call(t.Context(), "echo", 0, i, &out))
			assert.Equal(t, i, out)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, b.Connections())
}

func TestCallEndsWithItsContext(t *testing.T) {
	b := newBroker(t)
	release := make(chan struct{})
	b.Handle("slow", func(r *fluxtest.Request) {
		<-release
		r.Respond("late")
	})
	b.Handle("fast", func(r *fluxtest.Request) { r.Respond("fast") })
	c := dial(t, b.URI())

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, c.Call(ctx, "slow", 0, nil, nil), context.DeadlineExceeded)
	close(release) // the late answer must not be taken for that of another call
	for range 10 {
		var out string
		require.NoError(t, c.Call(t.Context(), "fast", 0, nil, &out))
		require.Equal(t, "fast", out)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		assert.ErrorIs(t, c.Call(ended, "fast", 0, nil, nil), context.Canceled)
	}
	assert.NoError(t, c.Call(t.Context(), "fast", 0, nil, nil), "the connection still works")
}

// A broker that does not read must not delay a caller beyond its deadline.
func TestCallEndsWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = conn.Write([]byte{0})
			_, _ = io.ReadFull(conn, make([]byte, 8))
			cancel()
			<-t.Context().Done()
			conn.Close()
		}
	}()
	c := dial(t, path)
	require.Error(t, c.Call(ctx, "big", 0, strings.Repeat("x", 8<<20), nil))
	<-c.Done()
	assert.ErrorContains(t, c.Err(), "connection to the broker", "a partial message was written")
}

func TestBrokenConnection(t *testing.T) {
	b := newBroker(t)
	started := make(chan struct{})
	b.Handle("hang", func(r *fluxtest.Request) {
		close(started)
		<-r.Gone()
	})
	c := dial(t, b.URI())
	result := make(chan error, 1)
	go func() { result <- c.Call(t.Context(), "hang", 0, nil, nil) }()
	<-started
	b.Disconnect()
	assert.ErrorContains(t, <-result, "the broker closed it")
	<-c.Done()
	assert.ErrorContains(t, c.Call(t.Context(), "hang", 0, nil, nil), "the broker closed it")
	assert.NotErrorIs(t, c.Err(), io.EOF)
}

func TestClose(t *testing.T) {
	b := newBroker(t)
	c := dial(t, b.URI())
	c.Close()
	c.Close()
	assert.ErrorIs(t, c.Err(), flux.ErrClosed)
	assert.ErrorIs(t, c.Call(t.Context(), "x", 0, nil, nil), flux.ErrClosed)
	_, err := c.Stream(t.Context(), "x", 0, nil)
	assert.ErrorIs(t, err, flux.ErrClosed)
}

func TestNoiseEndsTheConnection(t *testing.T) {
	tooLarge := binary.NativeEndian.AppendUint32(nil, 0xffee0012)
	tooLarge = binary.BigEndian.AppendUint32(tooLarge, 1<<20)
	for name, test := range map[string]struct {
		noise string
		want  error
	}{
		"noise":     {"no message at all", flux.ErrMalformed},
		"too large": {string(tooLarge), flux.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			b.Handle("x", func(r *fluxtest.Request) { r.SendBytes([]byte(test.noise)) })
			c := dial(t, b.URI(), flux.MaxMessage(1000))
			assert.ErrorIs(t, c.Call(t.Context(), "x", 0, nil, nil), test.want)
		})
	}
}

// Messages that do not answer a request are ignored.
func TestStrayMessages(t *testing.T) {
	b := newBroker(t)
	b.Handle("x", func(r *fluxtest.Request) {
		r.Send(&flux.Message{Type: flux.TypeEvent, Flags: flux.FlagTopic, Topic: "heartbeat.pulse", Aux2: r.Tag()})
		r.Send(&flux.Message{Type: flux.TypeResponse, Flags: flux.FlagTopic, Topic: "x", Aux2: r.Tag() + 1000})
		r.Respond(5)
		r.Respond(6)
	})
	c := dial(t, b.URI())
	for range 3 {
		var out int
		require.NoError(t, c.Call(t.Context(), "x", 0, nil, &out))
		assert.Equal(t, 5, out)
	}
}

func TestStream(t *testing.T) {
	b := newBroker(t)
	b.Handle("count", func(r *fluxtest.Request) {
		assert.NotZero(t, r.Flags&flux.FlagStreaming)
		for i := range 3 {
			r.Respond(i)
		}
		r.Error(syscall.ENODATA, "")
	})
	b.Handle("fail", func(r *fluxtest.Request) {
		r.Respond(1)
		r.Error(syscall.EPROTO, "went wrong")
	})
	c := dial(t, b.URI())

	s, err := c.Stream(t.Context(), "count", 0, nil)
	require.NoError(t, err)
	defer s.Close()
	for want := range 3 {
		var got int
		require.NoError(t, s.Next(t.Context(), &got))
		assert.Equal(t, want, got)
	}
	assert.Equal(t, io.EOF, s.Next(t.Context(), nil))

	s, err = c.Stream(t.Context(), "fail", 0, nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Next(t.Context(), nil))
	assert.ErrorIs(t, s.Next(t.Context(), nil), syscall.EPROTO)
}

// Messages from before the end of the connection are read first.
func TestStreamOfABrokenConnection(t *testing.T) {
	b := newBroker(t)
	b.Handle("two", func(r *fluxtest.Request) {
		r.Respond(1)
		r.Respond(2)
		b.Disconnect()
	})
	c := dial(t, b.URI())
	s, err := c.Stream(t.Context(), "two", 0, nil)
	require.NoError(t, err)
	<-c.Done()
	require.NoError(t, s.Next(t.Context(), nil))
	require.NoError(t, s.Next(t.Context(), nil))
	assert.ErrorContains(t, s.Next(t.Context(), nil), "the broker closed it")
}

// A stream that is not read loses messages, but does not delay other calls.
func TestStreamThatIsNotRead(t *testing.T) {
	b := newBroker(t)
	const sent = 10_000
	flooded := make(chan struct{})
	b.Handle("flood", func(r *fluxtest.Request) {
		for i := range sent {
			r.Respond(i)
		}
		close(flooded)
	})
	b.Handle("x", func(r *fluxtest.Request) { r.Respond(5) })
	c := dial(t, b.URI())
	s, err := c.Stream(t.Context(), "flood", 0, nil)
	require.NoError(t, err)
	defer s.Close()
	<-flooded
	require.NoError(t, c.Call(t.Context(), "x", 0, nil, nil), "answered after all messages of the stream")

	for read := 0; ; read++ {
		var got int
		err := s.Next(t.Context(), &got)
		if err != nil {
			assert.ErrorIs(t, err, flux.ErrOverflow)
			assert.Positive(t, read)
			assert.Less(t, read, sent)
			return
		}
		require.Equal(t, read, got, "no message is missing before the error")
	}
}
