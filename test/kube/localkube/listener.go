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

	// Free ports are looked for here rather than left to the kernel, whose choice comes from the range of
	// outgoing connections: a cluster that is stopped for a minute could find its port taken by one of those.
	firstPort, lastPort = 20000, 29999
	portAttempts        = 100
)

// openListener opens all that the API server is to listen on. Whatever that is, it is there at 127.0.0.1 too, so one
// kubeconfig serves everybody on either side.
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
		return nil, 0, fmt.Errorf("%v is no TCP address", listener.Addr())
	}
	return listener, address.Port, nil
}

// openOwn takes all addresses where there are nodes: theirs, and 127.0.0.1 for the other components.
func openOwn(o options) (net.Listener, error) {
	if o.nodeIP() == nil {
		return listen(o.port)
	}
	return listenAt(anyAddress, o.port)
}

// listen opens the API server's port before the API server is made, so that no other process can take a port
// between it being found free and being used.
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
