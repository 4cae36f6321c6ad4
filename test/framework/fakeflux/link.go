package main

import (
	"bufio"
	"encoding/json"
	"net"
	"sync"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// note is what brokers tell each other, a line of JSON.
type note struct {
	Kind string `json:"kind"` // hello, welcome, refused, ping, pong, state, leave, shutdown, request, response

	Rank  int    `json:"rank,omitempty"`
	Host  string `json:"host,omitempty"`
	Proof string `json:"proof,omitempty"`
	State string `json:"state,omitempty"`
	Text  string `json:"text,omitempty"`

	ID        uint64          `json:"id,omitempty"`
	Topic     string          `json:"topic,omitempty"`
	Node      uint32          `json:"node,omitempty"`
	User      uint32          `json:"user,omitempty"`
	Roles     uint32          `json:"roles,omitempty"`
	Streaming bool            `json:"streaming,omitempty"`
	Errno     int             `json:"errno,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
}

// link is a connection between the lead and a follower.
type link struct {
	conn  net.Conn
	lines *bufio.Reader
	gone  chan struct{} // closed with the connection

	mu      sync.Mutex
	closed  bool
	lastID  uint64
	waiting map[uint64]*request
	heard   time.Time
}

func newLink(conn net.Conn, userTimeout time.Duration) *link {
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { // without it, a lost network is found later
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(userTimeout.Milliseconds()))
			})
		}
	}
	return &link{
		conn: conn, lines: bufio.NewReader(conn), gone: make(chan struct{}),
		waiting: map[uint64]*request{}, heard: time.Now(),
	}
}

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall lacks.
const tcpUserTimeout = 0x12

func (l *link) send(n note) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(20 * time.Second)) // fails as the write then does
	_, err = l.conn.Write(append(text, '\n'))
	return err
}

func (l *link) receive() (note, error) {
	var n note
	text, err := l.lines.ReadBytes('\n')
	if err != nil {
		return n, err
	}
	l.mu.Lock()
	l.heard = time.Now()
	l.mu.Unlock()
	return n, json.Unmarshal(text, &n)
}

// silence is how long nothing came.
func (l *link) silence() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.heard)
}

// close ends the connection and fails what waits for it.
func (l *link) close() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = map[uint64]*request{}
	if !l.closed {
		l.closed = true
		close(l.gone)
	}
	l.mu.Unlock()
	l.conn.Close()
	for _, r := range waiting {
		r.answer(nil, fail(syscall.EHOSTUNREACH, "the broker is gone"))
	}
}

// forward sends a request to the other broker, which answers it.
func (l *link) forward(r *request) {
	l.mu.Lock()
	l.lastID++
	id := l.lastID
	l.waiting[id] = r
	l.mu.Unlock()
	err := l.send(note{
		Kind: "request", ID: id, Topic: r.topic, Node: uint32(r.node), User: r.user, Roles: r.roles, Streaming: r.streaming, Body: r.body,
	})
	if err != nil {
		l.close()
	}
}

// handle takes what is about requests: it tells whether it was.
func (l *link) handle(b *broker, n note) bool {
	switch n.Kind {
	case "request":
		r := &request{topic: n.Topic, node: flux.Node(n.Node), user: n.User, roles: n.Roles, body: n.Body, streaming: n.Streaming, gone: l.gone}
		r.respond = func(errno syscall.Errno, body []byte) {
			out := note{Kind: "response", ID: n.ID, Errno: int(errno), Body: body}
			if errno != 0 {
				out.Body, out.Text = nil, string(body)
			}
			_ = l.send(out) // a lost connection is seen by the reader
		}
		go b.route(r)
	case "response":
		l.mu.Lock()
		r := l.waiting[n.ID]
		if r != nil && (!r.streaming || n.Errno != 0) {
			delete(l.waiting, n.ID)
		}
		l.mu.Unlock()
		switch {
		case r == nil:
		case n.Errno != 0:
			r.respond(syscall.Errno(n.Errno), []byte(n.Text))
		default:
			r.respond(0, n.Body)
		}
	default:
		return false
	}
	return true
}
