package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// dialPause is the delay between two attempts to reach the lead.
const dialPause = 100 * time.Millisecond

// errNoParent ends a follower that its lead no longer knows.
var errNoParent = errors.New("lost the connection to the lead broker")

// uplink is a follower's connection to the lead. It transfers the same messages as a local socket.
type uplink struct {
	conn net.Conn

	mu      sync.Mutex
	lastTag uint32
	waiting map[uint32]*fluxtest.Request
}

// send sends a request. The reader detects a broken connection.
func (u *uplink) send(topic string, flags flux.Flags, in any) {
	payload, err := json.Marshal(in)
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	_ = flux.WriteMessage(u.conn, &flux.Message{
		Type: flux.TypeRequest, Flags: flags | flux.FlagTopic | flux.FlagRoute | flux.FlagPayload, Roles: fluxtest.RoleOwner,
		Topic: topic, Payload: append(payload, 0), Aux1: uint32(flux.Leader),
	})
}

// forward sends a request of a local client to the lead.
func (b *broker) forward(r *fluxtest.Request) {
	var u *uplink
	b.Read(func() { u = b.parent })
	if u == nil {
		r.Error(syscall.EHOSTUNREACH, "No route to host")
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lastTag++
	u.waiting[u.lastTag] = r
	m := *r.Message
	m.Aux2 = u.lastTag
	_ = flux.WriteMessage(u.conn, &m) // as above
}

// deliver passes a response to the client that waits for it.
func (u *uplink) deliver(m *flux.Message) {
	u.mu.Lock()
	r := u.waiting[m.Tag()]
	if r != nil && (r.Flags&flux.FlagStreaming == 0 || m.Errno() != 0) {
		delete(u.waiting, m.Tag())
	}
	u.mu.Unlock()
	if r != nil {
		m.Aux2 = r.Tag()
		r.Send(m)
	}
}

// follow runs a follower: it connects to the lead, however long that takes, and leaves when it or the lead is
// stopped.
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
		var parent *uplink
		b.Read(func() { parent = b.parent })
		if parent == nil {
			return 1, errors.New("the lead broker was not found")
		}
		parent.send("overlay.goodbye", flux.FlagNoResponse, nil)
	}
	return 0, nil
}

// followLead returns nil when the lead stops.
func (b *broker) followLead(ctx context.Context) error {
	u, m, err := b.greet(ctx, false)
	if err != nil {
		return err
	}
	b.Update(func() { b.parent = u })
	b.enter(stateInit)
	b.enter(flux.StateQuorum)
	pinging, stop := context.WithCancel(ctx)
	defer stop()
	go u.ping(pinging, b.conf.heartbeat.Period.Duration)
	for ; err == nil; m, err = flux.ReadMessage(u.conn, flux.DefaultMaxMessage) {
		if m.Tag() != 0 {
			u.deliver(m)
			continue
		}
		var lead leadState
		_ = json.Unmarshal(m.Text(), &lead) // the lead sends states only
		switch lead.State {
		case flux.StateRun:
			b.enter(flux.StateRun)
		case flux.StateShutdown:
			b.enter(flux.StateShutdown)
			u.send("overlay.goodbye", flux.FlagNoResponse, nil)
			return nil
		}
	}
	b.lose(u)
	// The loss is only detected when the lead is back, which does not know this follower.
	lost, stop := context.WithTimeout(ctx, b.conf.heartbeat.Timeout.Duration)
	defer stop()
	if u, _, err := b.greet(lost, true); err == nil {
		u.conn.Close()
	}
	return errNoParent
}

// lose ends the connection to the lead and the requests that wait for it.
func (b *broker) lose(u *uplink) {
	u.conn.Close()
	b.Update(func() { b.parent = nil })
	b.log.error("the lead broker is gone")
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.waiting {
		r.Error(syscall.EHOSTUNREACH, "the broker is gone")
	}
}

// ping shows the lead that this broker is not torpid.
func (u *uplink) ping(ctx context.Context, period time.Duration) {
	for tick := time.NewTicker(period); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			u.send("overlay.ping", flux.FlagNoResponse, nil)
		}
	}
}

// greet connects to the lead and announces this broker, or only checks whether the lead exists, until the lead
// answers. A lead with another certificate does not answer.
func (b *broker) greet(ctx context.Context, probe bool) (*uplink, *flux.Message, error) {
	address := strings.TrimPrefix(b.conf.hosts[0].Connect, "tcp://")
	dialer := net.Dialer{Timeout: b.conf.tbon.ConnectTimeout.Duration}
	for warned := false; ; {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		switch {
		case err == nil:
			setUserTimeout(conn, b.conf.tbon.UserTimeout.Duration)
			u := &uplink{conn: conn, waiting: map[uint32]*fluxtest.Request{}}
			u.send("overlay.hello", flux.FlagStreaming, greeting{
				Rank: b.rank, Host: b.State.Attrs["hostname"], Proof: b.proof, Probe: probe,
			})
			answer, err := flux.ReadMessage(conn, flux.DefaultMaxMessage)
			switch {
			case err != nil:
				conn.Close()
			case answer.Errno() != 0:
				conn.Close()
				return nil, nil, fmt.Errorf("the lead broker refuses this one: %s", answer.Text())
			default:
				return u, answer, nil
			}
		case !warned:
			warned = true
			b.log.error("parent %s: %v", address, err)
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(dialPause):
		}
	}
}
