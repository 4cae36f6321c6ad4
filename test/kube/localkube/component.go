package main

import (
	"context"
	"fmt"
	"time"
)

// component is a part of the control plane that runs until it is stopped.
type component struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs a component. If it ends without being stopped, its error ends the whole process.
func start(ctx context.Context, name string, failed chan<- error, run func(context.Context) error) component {
	ctx, cancel := context.WithCancel(ctx)
	c := component{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		// The buffer of the channel has room for the first error, and only that one matters.
		select {
		case failed <- fmt.Errorf("%s ended: %w", name, err):
		default:
		}
	}()
	return c
}

// stop waits for a component for a limited time: the data of a temporary control plane does not matter, and otherwise
// etcd has all of it, which is closed last.
func (c component) stop(patience time.Duration) {
	c.cancel()
	select {
	case <-c.done:
	case <-time.After(patience):
	}
}
