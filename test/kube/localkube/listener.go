package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
)

const (
	loopback   = "127.0.0.1"
	anyAddress = "0.0.0.0"

	// This program chooses free ports itself, because the kernel chooses from the range of outgoing connections: one of
	// those could take the port of a cluster that is stopped for a minute.
	firstPort, lastPort = 20000, 29999
	portAttempts        = 100
)

// openListener opens the listeners of the API server. They always include 127.0.0.1, so that one kubeconfig works on
// either side.
func openListener(o options) (net.Listener, error) {
	var inherited net.Listener
	if o.listenerFD != 0 {
		var err error
		if inherited, o.port, err = inherit(o.listenerFD); err != nil {
			return nil, fmt.Errorf("using the inherited port: %w", err)
		}
	}
	own, err := openOwn(o)
	if err != nil || inherited == nil {
		return own, err
	}
	return join(inherited, own), nil
}

func inherit(fd int) (listener net.Listener, port int, err error) {
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	if listener, err = net.FileListener(file); err != nil {
		return nil, 0, err
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, 0, fmt.Errorf("%v is not a TCP address", listener.Addr())
	}
	return listener, address.Port, nil
}

// openOwn listens on all addresses if there are nodes: theirs, and 127.0.0.1 for the other components.
func openOwn(o options) (net.Listener, error) {
	if o.nodeIP() == nil {
		return listen(o.port)
	}
	return listenAt(anyAddress, o.port)
}

// listen opens the API server's port before the API server is created, so that no other process can take a port
// between the search and the use.
func listen(port int) (net.Listener, error) {
	if port != 0 {
		return listenOn(port)
	}
	for range portAttempts {
		listener, err := listenOn(firstPort + rand.IntN(lastPort-firstPort+1))
		if err == nil {
			return listener, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no free port found in %d-%d", firstPort, lastPort)
}

func listenOn(port int) (net.Listener, error) { return listenAt(loopback, port) }

func listenAt(address string, port int) (net.Listener, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("opening the API server's port: %w", err)
	}
	return listener, nil
}
