package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

const (
	loopback = "127.0.0.1"
	// Free ports are looked for here rather than left to the kernel, whose choice comes from the range of
	// outgoing connections: a cluster that is stopped for a minute could find its port taken by one of those.
	firstPort, lastPort = 20000, 29999
	portAttempts        = 100
)

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

func listenOn(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("opening the API server's port: %w", err)
	}
	return listener, nil
}
