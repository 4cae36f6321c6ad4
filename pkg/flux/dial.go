package flux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// busyRetry is the delay before the next attempt if the short queue of the socket (five connections) was full.
const busyRetry = 10 * time.Millisecond

type options struct {
	maxMessage int
	uid        int
}

// Option configures [Dial].
type Option func(*options)

// AsUser connects as the user with that ID. The broker authorizes the user who connects, and root is not the owner of
// a broker that runs as another user. The calling process must run as root or as that user.
func AsUser(uid int) Option { return func(o *options) { o.uid = uid } }

// Dial connects to the local socket of a broker, a path or a local:// URI, and waits until the broker has accepted
// the connection, or ctx ends. A broker that refuses responds with an errno, mostly EPERM.
func Dial(ctx context.Context, socket string, opts ...Option) (*Client, error) {
	o := options{maxMessage: DefaultMaxMessage, uid: -1}
	for _, opt := range opts {
		opt(&o)
	}
	path, err := socketPath(socket)
	if err != nil {
		return nil, err
	}
	conn, err := connect(ctx, path, o.uid)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	if err := awaitAccept(ctx, conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to the broker at %s: %w", path, err)
	}
	return newClient(conn, o.maxMessage), nil
}

func socketPath(socket string) (string, error) {
	path, isURI := strings.CutPrefix(socket, "local://")
	if path == "" || (!isURI && strings.Contains(path, "://")) {
		return "", fmt.Errorf("%q is neither a path nor a local:// URI", socket)
	}
	return path, nil
}

func connect(ctx context.Context, path string, uid int) (net.Conn, error) {
	var busy error
	for {
		var conn net.Conn
		err := asUser(uid, func() error {
			var err error
			conn, err = new(net.Dialer).DialContext(ctx, "unix", path)
			return err
		})
		switch {
		case errors.Is(err, syscall.EAGAIN):
			busy = err
		case busy != nil && errors.Is(err, context.DeadlineExceeded): // ctx is about to end too
		default:
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", ctx.Err(), busy)
		case <-time.After(busyRetry):
		}
	}
}

// awaitAccept reads the first byte from the broker: 0, or an errno.
func awaitAccept(ctx context.Context, conn net.Conn) error {
	stop := interruptible(ctx, conn.SetReadDeadline)
	var answer [1]byte
	_, err := io.ReadFull(conn, answer[:])
	if stop(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("no response: %w", ctx.Err())
		}
		return fmt.Errorf("no response: %w", err)
	}
	if answer[0] != 0 {
		return fmt.Errorf("refused: %w", syscall.Errno(answer[0]))
	}
	return nil
}

// interruptible interrupts I/O with a deadline when ctx ends. The returned function undoes that, and waits until
// nothing can change the deadline any more.
func interruptible(ctx context.Context, setDeadline func(time.Time) error) (stop func()) {
	fired := make(chan struct{})
	// An error means that the connection is closed, which ends the I/O too.
	_ = setDeadline(time.Time{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = setDeadline(time.Unix(1, 0))
	})
	return func() {
		if !cancel() {
			<-fired
		}
		_ = setDeadline(time.Time{})
	}
}
