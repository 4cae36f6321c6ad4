package flux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Client is a connection to a broker. Its methods may be called by several goroutines. When the connection breaks,
// all calls fail and [Client.Done] is closed; a client does not reconnect.
type Client struct {
	conn       net.Conn
	maxMessage int

	writing chan struct{} // contains a token while a message is written
	done    chan struct{} // closed after err is set

	mu      sync.Mutex
	err     error // why the connection ended
	lastTag uint32
	calls   map[uint32]*call
}

func newClient(conn net.Conn, maxMessage int) *Client {
	c := &Client{
		conn:       conn,
		maxMessage: maxMessage,
		writing:    make(chan struct{}, 1),
		done:       make(chan struct{}),
		calls:      map[uint32]*call{},
	}
	go c.receive()
	return c
}

// Done returns a channel that is closed when the connection has ended, for any reason.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended; nil while it has not. After [Client.Close] it is errClosed.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close ends the connection, and with it all calls in progress. The broker then drops the streams and subscriptions
// of this client.
func (c *Client) Close() { c.fail(errClosed) }

// fail ends the connection. The first reason counts.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	c.conn.Close()
}

// receive distributes the messages of the broker until the connection ends. It never waits for a reader.
func (c *Client) receive() {
	r := bufio.NewReader(c.conn)
	for {
		m, err := ReadMessage(r, c.maxMessage)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the broker closed it")
			}
			c.fail(fmt.Errorf("connection to the broker: %w", err))
			return
		}
		if m.Type == TypeResponse { // the client neither subscribes to events nor offers services
			c.answer(m)
		}
	}
}

// answer passes a response to its call. A response to a call whose context has ended is dropped.
func (c *Client) answer(m *Message) {
	c.mu.Lock()
	pending, ok := c.calls[m.Tag()]
	if ok && (!pending.streaming || m.Errno() != 0) {
		delete(c.calls, m.Tag())
	}
	c.mu.Unlock()
	switch {
	case !ok:
	case pending.handle != nil:
		pending.handle(m)
	case !pending.queue.put(m):
		c.forget(m.Tag())
	}
}

// start registers a call under a unique tag.
func (c *Client) start(pending *call) (tag uint32, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	for {
		c.lastTag++
		if _, taken := c.calls[c.lastTag]; !taken && c.lastTag != 0 {
			break
		}
	}
	c.calls[c.lastTag] = pending
	return c.lastTag, nil
}

func (c *Client) forget(tag uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, tag)
}

// send writes a message. The end of ctx interrupts it; a partially written message breaks the connection.
func (c *Client) send(ctx context.Context, m *Message) error {
	data := appendWire(nil, m)
	select {
	case c.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.err
	}
	defer func() { <-c.writing }()
	// A select with several ready cases takes any of them, and the deadline of an ended context is set asynchronously.
	if err := ctx.Err(); err != nil {
		return err
	}

	stop := interruptible(ctx, c.conn.SetWriteDeadline)
	n, err := c.conn.Write(data)
	stop()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && n == 0:
		return ctx.Err()
	}
	c.fail(fmt.Errorf("connection to the broker: %w", err))
	return c.err
}
