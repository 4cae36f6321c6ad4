package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// This package chooses free ports itself, because the kernel chooses from the range of outgoing connections: before
// the program listens, one of those could take the port. The ports of localkube come after this range.
const (
	firstPort, lastPort = 10000, 19999
	portAttempts        = 100
)

// FreePort returns a TCP port of 127.0.0.1 that is free, for programs that cannot report the port that they chose. As
// long as the calling process runs, other calls, also those of other processes, return other ports.
func FreePort(ctx context.Context) (int, error) {
	var err error
	for range portAttempts {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if err = reserve(port); err == nil {
			err = tryPort(ctx, port)
		}
		if err == nil {
			return port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return 0, fmt.Errorf("looking for a free port: %w", err)
}

// tryPort returns an error if nothing can listen at a port.
func tryPort(ctx context.Context, port int) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}
