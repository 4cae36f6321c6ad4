package fluxtest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

// Handler answers a request. It runs in its own goroutine.
type Handler func(*Request)

// Roles of the sender of a message (RFC 12).
const (
	RoleOwner = 1
	RoleUser  = 2
)

// Admit returns the roles of a client by its user, or the errno to reject it with.
type Admit func(uid uint32) (roles uint32, errno syscall.Errno)

// Broker is a stand-in for a broker.
type Broker struct {
	dir      string
	listener net.Listener
	running  sync.WaitGroup

	mu        sync.Mutex
	handlers  map[string]Handler
	intercept func(*Request) bool
	admission Admit
	conns     map[net.Conn]struct{}
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
	b := &Broker{
		listener: listener, handlers: map[string]Handler{}, conns: map[net.Conn]struct{}{},
		admission: func(uint32) (uint32, syscall.Errno) { return RoleOwner, 0 },
	}
	b.running.Go(func() { b.accept(listener) })
	return b, nil
}

// Path returns the path of the socket.
func (b *Broker) Path() string { return b.listener.Addr().String() }

// Dir returns the directory of the socket.
func (b *Broker) Dir() string { return filepath.Dir(b.Path()) }

// URI returns the local:// URI of the socket.
func (b *Broker) URI() string { return "local://" + b.Path() }

// Handle registers h for the requests of a topic. The answer to a topic without a handler is ENOSYS.
func (b *Broker) Handle(topic string, h Handler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers[topic] = h
}

// Intercept calls f with each request before its handler, which is not called when f reports true.
func (b *Broker) Intercept(f func(*Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.intercept = f
}

// Admit sets the function that admits later clients. Without it, all clients are owners.
func (b *Broker) Admit(admit Admit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admission = admit
}

// Refuse rejects later clients with an errno.
func (b *Broker) Refuse(errno syscall.Errno) {
	b.Admit(func(uint32) (uint32, syscall.Errno) { return 0, errno })
}

// Connections returns the number of clients that were accepted so far.
func (b *Broker) Connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted
}

// Disconnect closes all connections, like a broker that stops.
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

func (b *Broker) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		user, roles, ok := b.admit(conn)
		if !ok {
			conn.Close()
			continue
		}
		b.running.Go(func() { b.serve(conn, func(m *flux.Message) { m.UserID, m.Roles = user, roles }) })
	}
}

// admit identifies a client and sends the first byte: 0, or an errno.
func (b *Broker) admit(conn net.Conn) (user, roles uint32, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, 0, false
	}
	user = peerUser(conn)
	roles, errno := b.admission(user)
	if _, err := conn.Write([]byte{byte(errno)}); err != nil || errno != 0 {
		return 0, 0, false
	}
	b.conns[conn] = struct{}{}
	b.accepted++
	return user, roles, true
}

// peerUser returns the effective user of the thread that connected, or -1.
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

// ServePeer answers the requests of another broker until the connection ends. It trusts the sender information in its
// messages.
func (b *Broker) ServePeer(conn net.Conn) { b.serve(conn, func(*flux.Message) {}) }

func (b *Broker) serve(conn net.Conn, identify func(*flux.Message)) {
	c := &client{conn: conn, gone: make(chan struct{})}
	defer func() {
		close(c.gone)
		conn.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, conn)
	}()
	for {
		m, err := flux.ReadMessage(conn, flux.DefaultMaxMessage)
		if err != nil {
			return
		}
		identify(m)
		b.mu.Lock()
		h, intercept := b.handlers[m.Topic], b.intercept
		b.mu.Unlock()
		req := &Request{Message: m, client: c}
		switch {
		case intercept != nil && intercept(req):
		case h == nil:
			req.Error(syscall.ENOSYS, "")
		default:
			b.running.Go(func() { h(req) })
		}
	}
}

// client is a connection to a broker.
type client struct {
	conn    net.Conn
	writing sync.Mutex
	gone    chan struct{}
}

// Request is a request in progress.
type Request struct {
	*flux.Message
	client *client
}

// Gone returns a channel that is closed when the connection of the request has ended.
func (r *Request) Gone() <-chan struct{} { return r.client.gone }

// Conn returns the connection of the request.
func (r *Request) Conn() net.Conn { return r.client.conn }

// Decode decodes the payload. A handler may ignore the error, and use the zero value.
func (r *Request) Decode(into any) error { return json.Unmarshal(r.Text(), into) }

// Respond answers with v as JSON, or with nothing if it is nil. A disconnected client is not an error.
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

// Error answers with an error, and with a text unless it is empty.
func (r *Request) Error(errno syscall.Errno, text string) {
	m := r.response()
	m.Aux1 = uint32(errno)
	if text != "" {
		m.Payload, m.Flags = append([]byte(text), 0), m.Flags|flux.FlagPayload
	}
	r.Send(m)
}

// Answer answers with v or, if err is not nil, with its errno or EPROTO.
func (r *Request) Answer(v any, err error) {
	var failure *flux.Error
	switch {
	case errors.As(err, &failure):
		r.Error(failure.Errno, failure.Text)
	case err != nil:
		r.Error(syscall.EPROTO, err.Error())
	default:
		r.Respond(v)
	}
}

func (r *Request) response() *flux.Message {
	return &flux.Message{
		Type: flux.TypeResponse, Flags: flux.FlagTopic | flux.FlagRoute | r.Flags&flux.FlagStreaming,
		Topic: r.Topic, Aux2: r.Tag(),
	}
}

// Send sends any message to the client, unless the client expects no response.
func (r *Request) Send(m *flux.Message) {
	if r.Flags&flux.FlagNoResponse != 0 {
		return
	}
	r.client.writing.Lock()
	defer r.client.writing.Unlock()
	// A disconnected client does not matter.
	_ = flux.WriteMessage(r.client.conn, m)
}

// SendBytes sends bytes that do not have to be a message.
func (r *Request) SendBytes(b []byte) {
	r.client.writing.Lock()
	defer r.client.writing.Unlock()
	_, _ = r.client.conn.Write(b)
}
