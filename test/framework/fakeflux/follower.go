package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// dialPause is between two attempts to reach the lead.
const dialPause = 100 * time.Millisecond

// errNoParent is the end of a follower whose lead does not know it any more.
var errNoParent = errors.New("lost the connection to the lead broker")

// follow is the life of a follower: it announces itself to the lead, for as long
// as that takes, and leaves when it or the lead is told to stop.
func (b *broker) follow() (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- b.followLead(ctx) }()
	select {
	case err := <-ended:
		if err != nil {
			return 1, err
		}
	case s := <-b.signals:
		b.log.info("signal %v", s)
		b.mu.Lock()
		parent := b.parent
		b.mu.Unlock()
		if parent == nil {
			return 1, errors.New("the lead broker was not found")
		}
		_ = parent.send(note{Kind: "leave"}) // the lead sees that we are gone anyway
	}
	return 0, nil
}

// followLead returns nil when the lead stops.
func (b *broker) followLead(ctx context.Context) error {
	l, err := b.hello(ctx)
	if err != nil {
		return err
	}
	b.update(func() { b.parent = l })
	b.enter(stateInit)
	b.enter(stateQuorum)
	_ = l.send(note{Kind: "online"}) // what is wrong is seen when reading
	if b.listen(l) {
		return nil
	}
	l.close()
	b.update(func() { b.parent = nil })
	b.log.error("the lead broker is gone")
	// It is found out only when the lead is back, which does not know us then.
	lost, stop := context.WithTimeout(ctx, b.conf.heartbeatTimeout)
	defer stop()
	if l, err := b.hello(lost); err == nil {
		l.close()
	}
	return errNoParent
}

// listen follows what the lead says: it tells whether the lead stops.
func (b *broker) listen(l *link) bool {
	for {
		n, err := l.receive()
		if err != nil {
			return false
		}
		if l.handle(b, n) {
			continue
		}
		switch n.Kind {
		case "ping":
			_ = l.send(note{Kind: "pong"}) // what is wrong is seen when reading
		case "state":
			if n.State == stateRun {
				b.enter(stateRun)
			}
		case "shutdown":
			b.enter(stateShutdown)
			_ = l.send(note{Kind: "leave"}) // as above
			return true
		}
	}
}

// hello connects to the lead and announces this broker, until it is welcome. A
// lead with another certificate does not answer.
func (b *broker) hello(ctx context.Context) (*link, error) {
	address := strings.TrimPrefix(b.conf.hosts[0].connect, "tcp://")
	dialer := net.Dialer{Timeout: b.conf.connectTimeout}
	for warned := false; ; {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			l := newLink(conn, b.conf.userTimeout)
			err = l.send(note{Kind: "hello", Rank: b.rank, Host: b.attrs["hostname"], Proof: b.proof})
			var n note
			if err == nil {
				n, err = l.receive()
			}
			switch {
			case err == nil && n.Kind == "welcome":
				return l, nil
			case err == nil && n.Kind == "refused":
				l.close()
				return nil, errors.New(n.Text)
			}
			l.close()
		} else if !warned {
			warned = true
			b.log.error("parent %s: %v", address, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(dialPause):
		}
	}
}
