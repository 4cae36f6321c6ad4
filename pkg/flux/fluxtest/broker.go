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

// Handler answers a request. It runs in a goroutine of its own.
type Handler func(*Request)

// Roles of the sender of a message (RFC 12).
const (
	RoleOwner = 1
	RoleUser  = 2
)

// Admit returns the roles of a client by its user, or the errno that it is refused with.
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

// Path is the path of the socket.
func (b *Broker) Path() string { return b.listener.Addr().String() }

// Dir is the directory of the socket.
func (b *Broker) Dir() string { return filepath.Dir(b.Path()) }

// URI is the local:// URI of the socket.
func (b *Broker) URI() string { return "local://" + b.Path() }

// Handle lets h answer the requests of a topic. The answer to a topic without a handler is ENOSYS.
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

// Admit decides about the clients that connect from now on. Without it, all are owners.
func (b *Broker) Admit(admit Admit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admission = admit
}

// Refuse refuses the clients that connect from now on, with an errno.
func (b *Broker) Refuse(errno syscall.Errno) {
	b.Admit(func(uint32) (uint32, syscall.Errno) { return 0, errno })
}

// Connections is the number of clients that were accepted so far.
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

// peerUser is the effective user of the thread that connected, or -1.
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

// ServePeer answers the requests of another broker until the connection ends. What its messages say about their
// senders is taken as true.
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

// Request is a request under way.
type Request struct {
	*flux.Message
	client *client
}

// Gone is closed when the connection that the request came on has ended.
func (r *Request) Gone() <-chan struct{} { return r.client.gone }

// Conn is the connection that the request came on.
func (r *Request) Conn() net.Conn { return r.client.conn }

// Decode decodes the payload. A handler may ignore the error, and answer as if there was none.
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

// Answer answers with v or, where err is not nil, with its errno or EPROTO.
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

// Send sends any message to the client, unless it wants no response.
func (r *Request) Send(m *flux.Message) {
	if r.Flags&flux.FlagNoResponse != 0 {
		return
	}
	r.client.writing.Lock()
	defer r.client.writing.Unlock()
	// A client that has gone does not matter.
	_ = flux.WriteMessage(r.client.conn, m)
}

// SendBytes sends what need not be a message.
func (r *Request) SendBytes(b []byte) {
	r.client.writing.Lock()
	defer r.client.writing.Unlock()
	_, _ = r.client.conn.Write(b)
}
