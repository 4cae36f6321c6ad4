package serve

import (
	"context"

	"minicluster.internal/operator/pkg/flux"
)

// conn is a connection to a broker that may restart.
type conn struct {
	socket string
	user   int
	// turn holds the client, nil if there is none. A function that takes the client uses it exclusively, and puts one
	// into the channel afterwards.
	turn chan *flux.Client
}

func newConn(socket string, user int) *conn {
	l := &conn{socket: socket, user: user, turn: make(chan *flux.Client, 1)}
	l.turn <- nil
	return l
}

// client returns a connected client: the current one, or a new one if its connection is broken.
func (l *conn) client(ctx context.Context) (*flux.Client, error) {
	var client *flux.Client
	select {
	case client = <-l.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { l.turn <- client }()
	if client != nil && client.Err() == nil {
		return client, nil
	}
	fresh, err := flux.Dial(ctx, l.socket, flux.AsUser(l.user))
	if err != nil {
		client = nil
		return nil, err
	}
	client = fresh
	return client, nil
}

func (l *conn) close() {
	client := <-l.turn
	if client != nil {
		client.Close()
	}
	l.turn <- nil
}
