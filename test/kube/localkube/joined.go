package main

import (
	"errors"
	"net"
	"sync"
)

// joinedListener accepts connections from several listeners: the API server supports only one.
type joinedListener struct {
	listeners []net.Listener
	accepted  chan accepted
	closed    chan struct{}
	close     sync.Once
}

type accepted struct {
	connection net.Conn
	err        error
}

// join returns a listener with the address of the first one.
func join(listeners ...net.Listener) net.Listener {
	j := &joinedListener{listeners: listeners, accepted: make(chan accepted), closed: make(chan struct{})}
	for _, listener := range listeners {
		go j.serve(listener)
	}
	return j
}

// serve ends with the first error, like an HTTP server.
func (j *joinedListener) serve(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		select {
		case j.accepted <- accepted{connection, err}:
		case <-j.closed:
			if err == nil {
				connection.Close()
			}
			return
		}
		if err != nil {
			return
		}
	}
}

// Accept implements net.Listener.
func (j *joinedListener) Accept() (net.Conn, error) {
	select {
	case a := <-j.accepted:
		return a.connection, a.err
	case <-j.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (j *joinedListener) Close() error {
	var errs []error
	j.close.Do(func() {
		close(j.closed)
		for _, listener := range j.listeners {
			errs = append(errs, listener.Close())
		}
	})
	return errors.Join(errs...)
}

// Addr implements net.Listener.
func (j *joinedListener) Addr() net.Addr { return j.listeners[0].Addr() }
