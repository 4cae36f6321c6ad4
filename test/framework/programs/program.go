// Package programs runs the controller and the metrics API server for the integration tests: in the process of the
// test, so that the race detector sees them, and as their service accounts, so that missing rights are detected.
// Tests change the options that they test; all other options are set here.
package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Program runs in the process of the test.
type Program struct {
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// errStopped is the cause of the end of a stopped program's context.
var errStopped = errors.New("stopped")

// Start runs a program until it is stopped. It uses the values of the context, such as a logger, but not its end,
// since a program outlives the test that uses it first. A program that ends by itself is reported at once, because
// tests that need it fail for other reasons.
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

// Stop stops the program and waits for its end. It returns the error of the program.
func (p *Program) Stop() error {
	p.stop()
	<-p.done
	return p.err
}
