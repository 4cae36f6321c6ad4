// Package programs runs the controller and the metrics API server for the integration tests: in the process of the
// test, so that the race detector sees them, and as their service accounts, so that missing rights show. Tests change
// the options that they are about; all other options are set here, once.
package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Program is one that runs in the process of the test.
type Program struct {
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// errStopped is why the context of one that is stopped ends.
var errStopped = errors.New("stopped")

// Start runs something until it is stopped. The context has values for it, such as a logger; its end means nothing,
// since a program outlives the test that is the first to want it. One that ends by itself says so at once: tests that
// miss it fail for other reasons.
func Start(ctx context.Context, name string, run func(context.Context) error) *Program {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	p := &Program{stop: func() { cancel(errStopped) }, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = run(ctx)
		if context.Cause(ctx) == nil {
			fmt.Fprintf(os.Stderr, "%s ended: %v\n", name, p.err)
		}
	}()
	return p
}

// Stop tells it to end and waits until it has. It returns the error that it ended with.
func (p *Program) Stop() error {
	p.stop()
	<-p.done
	return p.err
}
