package controller

import (
	"context"
	"sync"
)

// background runs functions beside the workers.
type background interface {
	// Go runs a function, with a context that ends with that of Run.
	Go(f func(context.Context))
	// Run runs the functions until the context ends and all have returned.
	Run(ctx context.Context)
}

// tasks is a background with goroutines. Functions that are passed before Run wait for it.
type tasks struct {
	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // that of Run, for functions that are passed later
	waiting []func(context.Context)
	running sync.WaitGroup
}

// Go implements background.
func (t *tasks) Go(f func(context.Context)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil {
		t.waiting = append(t.waiting, f)
		return
	}
	ctx := t.ctx
	if ctx.Err() != nil {
		return // left to the next leader
	}
	t.running.Go(func() { f(ctx) })
}

// Run implements background.
func (t *tasks) Run(ctx context.Context) {
	t.mu.Lock()
	t.ctx = ctx
	waiting := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	for _, f := range waiting {
		t.Go(f) //nolint:contextcheck // runs with the context of Run
	}
	<-ctx.Done()
	t.mu.Lock()   // functions that started before the context ended
	t.mu.Unlock() //nolint:staticcheck // see above
	t.running.Wait()
}
