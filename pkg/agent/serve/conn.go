package serve

import (
	"context"

	"minicluster.internal/operator/pkg/flux"
)

// link is a connection to a broker that comes and goes.
type conn struct {
	socket string
	user   int
	// turn holds the client, nil when there is none. Who takes it out has it
	// alone, and puts one back.
	turn chan *flux.Client
}

func newConn(socket string, user int) *conn {
	l := &conn{socket: socket, user: user, turn: make(chan *flux.Client, 1)}
	l.turn <- nil
	return l
}

// client is a client that was connected a moment ago: that of the last time,
// or a new one where that has broken.
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
