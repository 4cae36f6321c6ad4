package main

import (
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// peer is a follower that is connected to the lead.
type peer struct {
	conn  net.Conn
	heard time.Time
}

// helloTimeout is how long a connection may exist without a hello.
const helloTimeout = 20 * time.Second

// greeting is the request of a follower. The responses are states of the lead, unless the follower only checks
// whether the lead exists.
type greeting struct {
	Rank  int    `json:"rank"`
	Host  string `json:"host"`
	Proof string `json:"proof"`
	Probe bool   `json:"probe"`
}

// leadState is an answer to a greeting.
type leadState struct {
	State string `json:"state"`
}

// acceptPeers serves the brokers that connect.
func (b *broker) acceptPeers(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		setUserTimeout(conn, b.conf.tbon.UserTimeout.Duration)
		_ = conn.SetReadDeadline(time.Now().Add(helloTimeout)) // if it fails, the next read fails too
		go b.ServePeer(conn)
	}
}

// isStranger reports whether a request comes from a broker that has not been admitted.
func (b *broker) isStranger(r *fluxtest.Request) bool {
	if _, local := r.Conn().(*net.UnixConn); local || r.Topic == "overlay.hello" {
		return false
	}
	known := false
	b.Read(func() { _, known = b.peerOf(r) })
	return !known
}

// peerOf returns the rank of the peer that sent a request.
func (b *broker) peerOf(r *fluxtest.Request) (rank uint32, known bool) {
	for rank, p := range b.peers {
		if p.conn == r.Conn() {
			return rank, true
		}
	}
	return 0, false
}

// hello implements overlay.hello, which serves a follower from its hello to its end. A client without a certificate
// gets no response.
func (b *broker) hello(r *fluxtest.Request) {
	in, err := fluxtest.Decode[greeting](r)
	if err != nil || in.Proof != b.proof {
		_ = r.Conn().Close() // already set if repeated
		return
	}
	if in.Rank < 1 || in.Rank >= len(b.conf.hosts) || b.conf.hosts[in.Rank].Name != in.Host {
		b.log.error("rejecting %s (rank %d): mismatched config", in.Host, in.Rank)
		r.Error(syscall.EINVAL, "mismatched config")
		return
	}
	if in.Probe {
		r.Respond(leadState{})
		return
	}
	_ = r.Conn().SetReadDeadline(time.Time{}) // if it fails, the next read fails too
	rank, p := uint32(in.Rank), &peer{conn: r.Conn(), heard: time.Now()}
	b.Update(func() { b.join(rank, p) })
	for sent := ""; ; {
		var state string
		var replaced bool
		if !b.Wait(r.Gone(), func() bool {
			state, replaced = b.State.Broker, b.peers[rank] != p
			return replaced || state != sent
		}) || replaced {
			break
		}
		r.Respond(leadState{state})
		sent = state
	}
	_ = r.Conn().Close() // as above
	b.Update(func() {
		if b.peers[rank] == p {
			b.leave(rank, true)
		}
	})
}

// join adds a follower, unless the instance ends. It must be called within Update.
func (b *broker) join(rank uint32, p *peer) {
	if slices.Contains([]string{flux.StateCleanup, flux.StateShutdown, stateFinalize}, b.State.Broker) {
		return
	}
	name := b.conf.hosts[rank].Name
	if b.peers[rank] != nil {
		b.log.error("%s (rank %d) has connected again", name, rank)
		b.leave(rank, true)
	}
	b.peers[rank] = p
	b.State.Online, b.State.Lost = b.State.Online.Union(flux.IDs(rank)), b.State.Lost.Without(flux.IDs(rank))
	b.log.info("online: %s (rank %d)", name, rank)
}

// leave removes a follower and fails its jobs. It must be called within Update.
func (b *broker) leave(rank uint32, lost bool) {
	delete(b.peers, rank)
	name, self := b.conf.hosts[rank].Name, flux.IDs(rank)
	b.State.Online, b.State.Torpid = b.State.Online.Without(self), b.State.Torpid.Without(self)
	if lost {
		b.State.Lost = b.State.Lost.Union(self)
		b.log.error("%s (rank %d): lost connection", name, rank)
	} else {
		b.log.error("dead to Flux: %s (rank %d)", name, rank)
	}
	for _, j := range b.jobs {
		if j.State == flux.JobRun && j.Ranks.Contains(rank) {
			b.Except(j.Job, "node-failure", fmt.Sprintf("node failure on %s (rank %d)", name, rank))
		}
	}
}

// ping implements overlay.ping of followers.
func (b *broker) ping(r *fluxtest.Request) {
	b.Update(func() {
		if rank, ok := b.peerOf(r); ok {
			b.peers[rank].heard = time.Now()
		}
	})
}

// goodbye implements overlay.goodbye of followers that end.
func (b *broker) goodbye(r *fluxtest.Request) {
	b.Update(func() {
		if rank, ok := b.peerOf(r); ok {
			b.leave(rank, false)
		}
	})
}

// watchPeers marks followers that have sent nothing for a long time; they get no jobs.
func (b *broker) watchPeers(stop <-chan struct{}) {
	tick := time.NewTicker(b.conf.heartbeat.Period.Duration)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		b.Update(func() {
			var torpid flux.IDSet
			for rank, p := range b.peers {
				if time.Since(p.heard) > b.conf.tbon.TorpidMax.Duration+b.conf.heartbeat.Period.Duration {
					torpid = torpid.Union(flux.IDs(rank))
				}
			}
			if !torpid.Equal(b.State.Torpid) {
				b.log.error("torpid: %q", torpid)
			}
			b.State.Torpid = torpid
		})
	}
}

// setUserTimeout limits how long a connection exists after its peer has disappeared.
func setUserTimeout(conn net.Conn, d time.Duration) {
	const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT of tcp(7), missing in package syscall
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // without it, a lost network is detected later
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
		})
	}
}
