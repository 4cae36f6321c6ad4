//go:build unix

package plugin

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"
)

// sizeQueue sends the sizes of a terminal to the container.
type sizeQueue struct {
	ctx     context.Context //nolint:containedctx // the interface of the queue has no context
	fd      int
	changes chan os.Signal
}

// terminalSizes returns the size of a terminal now and after each change, until the context ends.
func terminalSizes(ctx context.Context, fd int) remotecommand.TerminalSizeQueue {
	q := &sizeQueue{ctx: ctx, fd: fd, changes: make(chan os.Signal, 1)}
	signal.Notify(q.changes, syscall.SIGWINCH)
	context.AfterFunc(ctx, func() { signal.Stop(q.changes) })
	q.changes <- syscall.SIGWINCH
	return q
}

// Next waits for the next size. It returns nil at the end.
func (q *sizeQueue) Next() *remotecommand.TerminalSize {
	select {
	case <-q.ctx.Done():
		return nil
	case <-q.changes:
	}
	width, height, err := term.GetSize(q.fd)
	if err != nil {
		return nil
	}
	return &remotecommand.TerminalSize{Width: uint16(width), Height: uint16(height)} //nolint:gosec // sizes of terminals fit
}
