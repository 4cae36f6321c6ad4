// Package fluxtest is a stand-in for a Flux broker, for tests: it listens on a
// local socket and speaks the protocol of one.
//
// A [Broker] answers what it is given handlers for. An [Instance] has the
// handlers and the state of a small Flux instance: nodes that are online,
// drained and allocated, jobs, queues.
package fluxtest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

// Handler answers a request. It runs in a goroutine of its own.
type Handler func(*Request)

// Broker is a stand-in for a broker.
type Broker struct {
	dir      string
	listener net.Listener
	running  sync.WaitGroup

	mu        sync.Mutex
	handlers  map[string]Handler
	refuse    syscall.Errno
	conns     map[net.Conn]struct{}
	connected func(uid uint32)
	accepted  int
	closed    bool
}

// New starts a broker on a socket in a new directory. It must be closed.
func New() (*Broker, error) {
	dir, err := os.MkdirTemp("", "flux-")
	if err != nil {
		return nil, err
	}
	b, err := Listen(filepath.Join(dir, "local"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	b.dir = dir
	return b, nil
}

// Listen starts a broker on the socket of that path. It must be closed.
func Listen(path string) (*Broker, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	b := &Broker{listener: listener, handlers: map[string]Handler{}, conns: map[net.Conn]struct{}{}}
	b.running.Go(b.accept)
	return b, nil
}

// Path is the path of the socket.
func (b *Broker) Path() string { return b.listener.Addr().String() }

// Dir is the directory of the socket.
func (b *Broker) Dir() string { return filepath.Dir(b.Path()) }

// URI is the local:// URI of the socket.
func (b *Broker) URI() string { return "local://" + b.Path() }

// Handle lets h answer the requests of a topic. A topic without a handler is
// answered by ENOSYS.
func (b *Broker) Handle(topic string, h Handler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers[topic] = h
}

// Refuse makes the broker refuse those who connect from now on, with an errno;
// 0 accepts them again.
func (b *Broker) Refuse(errno syscall.Errno) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = errno
}

// OnConnect calls f with the user of each client that connects from now on.
func (b *Broker) OnConnect(f func(uid uint32)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connected = f
}

// Connections is how many were accepted so far.
func (b *Broker) Connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted
}

// Disconnect ends all connections, as a broker does that stops.
func (b *Broker) Disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for conn := range b.conns {
		conn.Close()
	}
}

// Close stops the broker, ends its connections and waits for its handlers.
func (b *Broker) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.listener.Close()
	b.Disconnect()
	b.running.Wait()
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

func (b *Broker) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		if !b.admit(conn) {
			conn.Close()
			continue
		}
		b.running.Go(func() { b.serve(conn) })
	}
}

// admit sends the byte that comes first.
func (b *Broker) admit(conn net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	if b.connected != nil {
		b.connected(peerUser(conn))
	}
	if _, err := conn.Write([]byte{byte(b.refuse)}); err != nil || b.refuse != 0 {
		return false
	}
	b.conns[conn] = struct{}{}
	b.accepted++
	return true
}

// peerUser is the effective user of the thread that connected, as Linux tells
// it, or -1.
func peerUser(conn net.Conn) uint32 {
	uid := ^uint32(0)
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return uid
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid = cred.Uid
		}
	})
	return uid
}

func (b *Broker) serve(conn net.Conn) {
	gone := make(chan struct{})
	defer func() {
		close(gone)
		conn.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, conn)
	}()
	var writing sync.Mutex
	for {
		m, err := flux.ReadMessage(conn, flux.DefaultMaxMessage)
		if err != nil {
			return
		}
		b.mu.Lock()
		h := b.handlers[m.Topic]
		b.mu.Unlock()
		req := &Request{Message: m, conn: conn, writing: &writing, gone: gone}
		if h == nil {
			req.Error(syscall.ENOSYS, "")
			continue
		}
		b.running.Go(func() { h(req) })
	}
}

// Request is a request under way.
type Request struct {
	*flux.Message
	conn    net.Conn
	writing *sync.Mutex
	gone    chan struct{}
}

// Gone is closed when the connection that the request came on has ended.
func (r *Request) Gone() <-chan struct{} { return r.gone }

// Decode decodes the payload. A handler may ignore the error, and answer with
// what is right for nothing.
func (r *Request) Decode(into any) error { return json.Unmarshal(r.Text(), into) }

// Respond answers with v as JSON, or with nothing if it is nil. A client that
// has gone is not an error.
func (r *Request) Respond(v any) {
	m := r.response()
	if v != nil {
		payload, err := json.Marshal(v)
		if err != nil {
			r.Error(syscall.EPROTO, err.Error())
			return
		}
		payload = append(payload, 0)
		m.Payload, m.Flags = payload, m.Flags|flux.FlagPayload
	}
	r.Send(m)
}

// Error answers with an error, and a text unless it is empty.
func (r *Request) Error(errno syscall.Errno, text string) {
	m := r.response()
	m.Aux1 = uint32(errno)
	if text != "" {
		m.Payload, m.Flags = append([]byte(text), 0), m.Flags|flux.FlagPayload
	}
	r.Send(m)
}

func (r *Request) response() *flux.Message {
	return &flux.Message{
		Type: flux.TypeResponse, Flags: flux.FlagTopic | flux.FlagRoute | r.Flags&flux.FlagStreaming,
		Topic: r.Topic, Aux2: r.Tag(),
	}
}

// Send sends any message to the client.
func (r *Request) Send(m *flux.Message) {
	r.writing.Lock()
	defer r.writing.Unlock()
	// A client that has gone does not matter.
	_ = flux.WriteMessage(r.conn, m)
}

// SendBytes sends what need not be a message.
func (r *Request) SendBytes(b []byte) {
	r.writing.Lock()
	defer r.writing.Unlock()
	_, _ = r.conn.Write(b)
}
