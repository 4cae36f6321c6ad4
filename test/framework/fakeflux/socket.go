package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

// listenLocal opens the broker's local socket, which anybody may connect to.
func listenLocal(uri string) (*net.UnixListener, error) {
	path, ok := strings.CutPrefix(uri, "local://")
	if !ok {
		return nil, fmt.Errorf("local-uri %s: must begin with local://", uri)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("local-uri: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("local-uri: %w", err)
	}
	return l, os.Chmod(path, 0o777)
}

// serveLocal accepts clients until the socket is closed.
func (b *broker) serveLocal(l *net.UnixListener) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		go b.serveClient(conn)
	}
}

// serveClient talks RFC 3 with a client.
func (b *broker) serveClient(conn *net.UnixConn) {
	defer func() { _ = conn.Close() }() // the client may have closed it
	user, roles, errno := b.admit(conn)
	if _, err := conn.Write([]byte{byte(errno)}); err != nil || errno != 0 {
		return
	}
	gone := make(chan struct{})
	defer close(gone)
	var writing sync.Mutex
	for {
		m, err := flux.ReadMessage(conn, flux.DefaultMaxMessage)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				b.log.debug("client: %v", err)
			}
			return
		}
		if m.Type != flux.TypeRequest {
			continue
		}
		r := &request{
			topic: m.Topic, node: m.Node(), user: user, roles: roles, body: m.Text(), gone: gone,
			streaming: m.Flags&flux.FlagStreaming != 0,
		}
		r.respond = func(errno syscall.Errno, body []byte) {
			if m.Flags&flux.FlagNoResponse != 0 {
				return
			}
			out := flux.Message{
				Type: flux.TypeResponse, Flags: m.Flags & (flux.FlagTopic | flux.FlagRoute | flux.FlagStreaming),
				UserID: b.owner, Roles: roleOwner, Routes: m.Routes, Topic: m.Topic, Aux1: uint32(errno), Aux2: m.Aux2,
			}
			if body != nil {
				out.Flags |= flux.FlagPayload
				out.Payload = slices.Concat(body, []byte{0})
			}
			writing.Lock()
			defer writing.Unlock()
			_ = flux.WriteMessage(conn, &out) // a client that left is seen by the reader
		}
		go b.route(r)
	}
}

// admit says who a client is, and whether it is let in.
func (b *broker) admit(conn *net.UnixConn) (user, roles uint32, errno syscall.Errno) {
	var cred *syscall.Ucred
	raw, err := conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		}), err)
	}
	switch {
	case err != nil:
		return 0, 0, syscall.EPERM
	case cred.Uid == b.owner, cred.Uid == 0 && b.conf.allowRoot:
		return cred.Uid, roleOwner | roleLocal, 0
	case b.conf.allowGuest:
		return cred.Uid, roleUser | roleLocal, 0
	default:
		return 0, 0, syscall.EPERM
	}
}
