package flux

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// call is a request in progress.
type call struct {
	streaming bool
	queue     *queue
	// handle gets the responses instead of queue, in the goroutine that reads them, unless it is nil.
	handle func(*Message)
}

// Call sends a request to a method of a service on the broker node, and waits for its response. Unless in is nil, it
// is sent as JSON; unless out is nil, the response is decoded into it. An error response is an [*Error].
//
// If ctx ends first, Call returns its error and drops a later response. The broker may still process the request.
func (c *Client) Call(ctx context.Context, topic string, node Node, in, out any) error {
	s, err := c.request(ctx, topic, node, 0, in, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := s.message(ctx)
	if err != nil {
		return err
	}
	return decode(topic, m, out)
}

// Stream is a request with several responses.
type Stream struct {
	client *Client
	topic  string
	tag    uint32
	queue  *queue
}

// Stream sends a request for a stream of responses. The stream must be closed.
func (c *Client) Stream(ctx context.Context, topic string, node Node, in any) (*Stream, error) {
	return c.request(ctx, topic, node, FlagStreaming, in, nil)
}

// Next waits for a response and decodes it into out, unless that is nil. The error is io.EOF after the last response,
// and an error if responses were lost because they were read too slowly.
func (s *Stream) Next(ctx context.Context, out any) error {
	m, err := s.message(ctx)
	if err != nil {
		var answer *Error
		if errors.As(err, &answer) && answer.Errno == syscall.ENODATA {
			return io.EOF
		}
		return err
	}
	return decode(s.topic, m, out)
}

// Close drops further responses. There is no common way to stop a service; the broker stops it when the client is
// closed.
func (s *Stream) Close() { s.client.forget(s.tag) }

func (s *Stream) message(ctx context.Context) (*Message, error) {
	m, err := s.queue.next(ctx, s.client)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.topic, err)
	}
	if m.Errno() != 0 {
		return nil, &Error{Topic: s.topic, Errno: m.Errno(), Text: string(m.Text())}
	}
	return m, nil
}

func (c *Client) request(
	ctx context.Context, topic string, node Node, flags Flags, in any, handle func(*Message),
) (*Stream, error) {
	m := &Message{
		Type: TypeRequest, Flags: flags | FlagTopic | FlagRoute,
		UserID: userUnknown, Topic: topic, Aux1: uint32(node),
	}
	if in != nil {
		payload, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%s: encode the request: %w", topic, err)
		}
		payload = append(payload, 0)
		m.Payload, m.Flags = payload, m.Flags|FlagPayload
	}
	pending := &call{streaming: flags&FlagStreaming != 0, queue: newQueue(), handle: handle}
	tag, err := c.start(pending)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", topic, err)
	}
	m.Aux2 = tag
	if err := c.send(ctx, m); err != nil {
		c.forget(tag)
		return nil, fmt.Errorf("%s: %w", topic, err)
	}
	return &Stream{client: c, topic: topic, tag: tag, queue: pending.queue}, nil
}

func decode(topic string, m *Message, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(m.Text(), out); err != nil {
		return fmt.Errorf("%s: decode the response: %w", topic, err)
	}
	return nil
}
