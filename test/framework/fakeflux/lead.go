package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// peer is a follower that has come once.
type peer struct {
	link    *link // nil when it is not there
	online  bool
	lost    bool // it did not take leave
	torpid  bool
	changed time.Time
}

// drainInfo is why a rank is drained.
type drainInfo struct {
	Timestamp float64 `json:"timestamp"`
	Reason    string  `json:"reason"`
}

// loadLead reads what only rank 0 needs.
func (b *broker) loadLead() error {
	var err error
	if b.resources, err = loadResources(b.conf); err != nil {
		return err
	}
	if len(b.resources) > len(b.conf.hosts) { // a batch job's: all its nodes are here
		b.conf.hosts = nil
		for _, rank := range b.resources.ranks() {
			b.conf.hosts = append(b.conf.hosts, host{name: b.resources[rank].host})
			b.peers[rank] = &peer{online: true, changed: time.Now()}
		}
		b.attrs["size"] = strconv.Itoa(len(b.conf.hosts))
	}
	excluded, err := parseIDs(b.conf.exclude)
	if err != nil {
		return fmt.Errorf("resource.exclude: %w", err)
	}
	for _, rank := range excluded {
		b.excluded[rank] = true
	}
	if _, err := b.quorum(); err != nil {
		return err
	}
	b.jobs.init(b.conf.queues)
	return b.restore()
}

// quorum is how many brokers there must be before the first program is run.
func (b *broker) quorum() (int, error) {
	text, ok := b.attrs["broker.quorum"]
	if !ok {
		return len(b.conf.hosts), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > len(b.conf.hosts) {
		return 0, fmt.Errorf("broker.quorum: %q is not 0 to %d", text, len(b.conf.hosts))
	}
	return n, nil
}

// lead is the life of rank 0.
func (b *broker) lead() (int, error) {
	if len(b.conf.hosts) > 1 && len(b.peers) == 0 {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", bindAddress(b.conf.hosts[0].bind))
		if err != nil {
			return 1, err
		}
		defer l.Close()
		go b.acceptPeers(l)
	}
	stop := make(chan struct{})
	defer close(stop)
	go b.heartbeats(stop)
	go b.schedule(stop)

	b.update(func() { b.peers[0] = &peer{online: true, changed: time.Now()} })
	b.enter(stateInit)
	b.enter(stateQuorum)
	code := 0
	if b.awaitQuorum() {
		b.enter(stateRun)
		code = b.runProgram()
	}
	b.enter(stateCleanup)
	b.cleanup()
	b.enter(stateShutdown)
	b.shutFollowers()
	b.enter(stateFinalize)
	if err := b.finalize(); err != nil {
		b.log.error("%v", err)
		code = max(code, 1)
	}
	return code, nil
}

// bindAddress understands interface names as ZeroMQ does: tcp://eth0:8050.
func bindAddress(uri string) string {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(uri, "tcp://"))
	if err != nil {
		return strings.TrimPrefix(uri, "tcp://")
	}
	if host == "*" {
		host = ""
	} else if i, err := net.InterfaceByName(host); err == nil {
		if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
			host, _, _ = strings.Cut(addrs[0].String(), "/")
		}
	}
	return net.JoinHostPort(host, port)
}

// awaitQuorum tells whether the quorum came before the broker is to stop.
func (b *broker) awaitQuorum() bool {
	want, err := b.quorum()
	if err != nil {
		return false
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(stop)
		select {
		case s := <-b.signals:
			b.log.info("signal %v", s)
		case <-done:
		}
	}()
	defer close(done)
	return b.until(stop, func() bool { return len(b.online()) >= want || b.stopping }) && !b.stopping
}

// online are the ranks that are there. mu is held.
func (b *broker) online() []int {
	return b.ranksThat(func(p *peer) bool { return p.online })
}

func (b *broker) ranksThat(are func(p *peer) bool) []int {
	var ranks []int
	for _, rank := range slices.Sorted(maps.Keys(b.peers)) {
		if are(b.peers[rank]) {
			ranks = append(ranks, rank)
		}
	}
	return ranks
}

// usable tells whether jobs may be placed on a rank. mu is held.
func (b *broker) usable(rank int) bool {
	p := b.peers[rank]
	_, drained := b.drained[rank]
	return p != nil && p.online && !p.torpid && !drained && !b.excluded[rank]
}

func (b *broker) acceptPeers(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go b.servePeer(newLink(conn, b.conf.userTimeout))
	}
}

// servePeer is the connection of a follower, from its hello to its end.
func (b *broker) servePeer(l *link) {
	defer l.close()
	_ = l.conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // whoever says nothing is no broker
	n, err := l.receive()
	if err != nil || n.Kind != "hello" || n.Proof != b.proof {
		return // not a word to who has no certificate
	}
	_ = l.conn.SetReadDeadline(time.Time{}) // as above
	if n.Rank < 1 || n.Rank >= len(b.conf.hosts) || b.conf.hosts[n.Rank].name != n.Host {
		b.log.error("rejecting %s (rank %d): mismatched config", n.Host, n.Rank)
		_ = l.send(note{Kind: "refused", Text: "mismatched config"}) // it is not let in either way
		return
	}
	refused := false
	var p *peer
	b.update(func() {
		if refused = b.state == stateCleanup || b.state == stateShutdown || b.state == stateFinalize; refused {
			return
		}
		if old := b.peers[n.Rank]; old != nil && old.link != nil {
			b.log.error("%s (rank %d) is here again", n.Host, n.Rank)
			go old.link.close()
			b.leave(n.Rank, old, true)
		}
		p = &peer{link: l, changed: time.Now()}
		b.peers[n.Rank] = p
	})
	if refused || l.send(note{Kind: "welcome"}) != nil {
		return
	}
	lost := true
	for {
		n2, err := l.receive()
		if err != nil {
			break
		}
		if l.handle(b, n2) {
			continue
		}
		switch n2.Kind {
		case "online":
			b.update(func() {
				p.online, p.changed = true, time.Now()
				b.log.info("online: %s (rank %d)", n.Host, n.Rank)
				if b.state == stateRun {
					go func() { _ = l.send(note{Kind: "state", State: stateRun}) }() // seen when reading
				}
			})
		case "leave":
			lost = false
		}
		if !lost {
			break
		}
	}
	b.update(func() {
		if b.peers[n.Rank] == p {
			b.leave(n.Rank, p, lost)
		}
	})
}

// leave takes note that a follower is gone, and fails its jobs. mu is held.
func (b *broker) leave(rank int, p *peer, lost bool) {
	p.link, p.online, p.torpid, p.lost, p.changed = nil, false, false, lost, time.Now()
	name := b.conf.hosts[rank].name
	if lost {
		b.log.error("%s (rank %d): lost connection", name, rank)
	} else {
		b.log.error("dead to Flux: %s (rank %d)", name, rank)
	}
	for _, j := range b.jobs.all {
		if j.State == jobRun && slices.Contains(j.ranks(), rank) {
			b.raise(j, "node-failure", fmt.Sprintf("node failure on %s (rank %d)", name, rank))
		}
	}
}

// heartbeats looks after the followers: who does not answer for long gets no jobs.
func (b *broker) heartbeats(stop <-chan struct{}) {
	tick := time.NewTicker(b.conf.heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		b.update(func() {
			for rank, p := range b.peers {
				if p.link == nil {
					continue
				}
				if torpid := p.link.silence() > b.conf.torpidAfter+b.conf.heartbeat; torpid != p.torpid {
					p.torpid = torpid
					b.log.error("%s (rank %d) torpid: %v", b.conf.hosts[rank].name, rank, torpid)
				}
				go func() { _ = p.link.send(note{Kind: "ping"}) }() // what is wrong is seen when reading
			}
		})
	}
}

// shutFollowers stops the followers and waits until they have left.
func (b *broker) shutFollowers() {
	b.update(func() {
		for _, p := range b.peers {
			if p.link != nil {
				go func() { _ = p.link.send(note{Kind: "shutdown"}) }() // as above
			}
		}
	})
	late := make(chan struct{})
	timer := b.timeout("broker.shutdown-timeout")
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer close(late)
		select {
		case <-timer:
			b.log.error("shutdown: followers do not leave")
		case <-done:
		}
	}()
	b.until(late, func() bool {
		return len(b.ranksThat(func(p *peer) bool { return p.link != nil })) == 0
	})
}

// removeSocket takes the local socket away.
func (b *broker) removeSocket() { _ = os.Remove(strings.TrimPrefix(b.attrs["local-uri"], "local://")) }
