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

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago, for programs that cannot report the port that
// they chose.
func FreePort(ctx context.Context) (int, error) {
	var err error
	for range portAttempts {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		var listener net.Listener
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return 0, fmt.Errorf("looking for a free port: %w", err)
}
