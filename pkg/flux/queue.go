package flux

import (
	"context"
	"sync"
)

// maxQueued bounds the messages that wait for a reader, and maxQueuedBytes
// their payloads, so that one that does not read costs no more than that.
const (
	maxQueued      = 4096
	maxQueuedBytes = DefaultMaxMessage
)

// queue holds messages between the connection, which must not wait, and a
// reader.
type queue struct {
	mu       sync.Mutex
	messages []*Message
	bytes    int
	overflow bool
	ready    chan struct{} // holds a token while there may be something
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// put reports false once there are too many; later messages are lost. A first
// message always has room.
func (q *queue) put(m *Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := len(q.messages) >= maxQueued || q.bytes+len(m.Payload) > maxQueuedBytes
	if q.overflow = q.overflow || (full && len(q.messages) > 0); !q.overflow {
		q.messages = append(q.messages, m)
		q.bytes += len(m.Payload)
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return !q.overflow
}

// take removes the first message. It returns nil when there is none, and an
// error when none follows because others were lost.
func (q *queue) take() (*Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		if q.overflow {
			return nil, ErrOverflow
		}
		return nil, nil
	}
	m := q.messages[0]
	q.messages[0] = nil
	q.messages = q.messages[1:]
	q.bytes -= len(m.Payload)
	return m, nil
}

// next waits for a message. What came before the connection ended is
// returned before its error.
func (q *queue) next(ctx context.Context, c *Client) (*Message, error) {
	for {
		ended := false
		select {
		case <-c.done:
			ended = true
		default:
		}
		if m, err := q.take(); m != nil || err != nil {
			return m, err
		}
		if ended {
			return nil, c.err
		}
		select {
		case <-q.ready:
		case <-c.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
