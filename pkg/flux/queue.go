package flux

import (
	"context"
	"sync"
)

// maxQueued limits the number of messages that wait for a reader, and maxQueuedBytes their payloads, so that a slow
// reader costs no more memory than that.
const (
	maxQueued      = 4096
	maxQueuedBytes = DefaultMaxMessage
)

// queue stores messages between the connection, which must not block, and a reader.
type queue struct {
	mu       sync.Mutex
	messages []*Message
	bytes    int
	overflow bool
	ready    chan struct{} // contains a token while there may be messages
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// put returns false if the queue is full; later messages are lost. There is always room for the first message.
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

// take removes the first message. It returns nil if there is none, and an error if the next message was lost.
func (q *queue) take() (*Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		if q.overflow {
			return nil, errOverflow
		}
		return nil, nil
	}
	m := q.messages[0]
	q.messages[0] = nil
	q.messages = q.messages[1:]
	q.bytes -= len(m.Payload)
	return m, nil
}

// next waits for a message. It returns queued messages before the error of the connection.
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
