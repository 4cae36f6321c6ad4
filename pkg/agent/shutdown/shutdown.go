// Package shutdown handles the signals of the agent: the request of Kubernetes to stop the pod, when it arrived, how
// much of the grace period remains, and signals that the agent forwards to the application. Keep its imports few: the
// signals must have a receiver before anything else is initialized.
package shutdown

import (
	"context"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// Shutdown is the request to stop.
type Shutdown struct {
	done    chan struct{}
	grace   atomic.Int64
	forward atomic.Pointer[func(syscall.Signal)]
	elapsed atomic.Pointer[func(at time.Time) time.Duration]
	// at and signal are set before done is closed.
	at     time.Time
	signal os.Signal
}

// Listen starts to handle the signals of this process, also those that have arrived before. It can be called once.
func Listen() *Shutdown {
	return listen(received)
}

func listen(signals <-chan os.Signal) *Shutdown {
	s := Never(0)
	go func() {
		for sig := range signals {
			s.handle(sig)
		}
	}()
	return s
}

func (s *Shutdown) handle(sig os.Signal) {
	switch {
	case slices.Contains(forwardedSignals(), sig):
		number, ok := sig.(syscall.Signal)
		if forward := s.forward.Load(); ok && forward != nil {
			(*forward)(number)
		}
	case !s.Requested():
		s.signal, s.at = sig, time.Now()
		close(s.done)
	}
}

// Never returns a Shutdown that is never requested.
func Never(grace time.Duration) *Shutdown {
	s := &Shutdown{done: make(chan struct{})}
	s.SetGrace(grace)
	return s
}

// SetGrace sets the grace period of the pod, at whose end Kubernetes kills the remaining processes.
func (s *Shutdown) SetGrace(grace time.Duration) { s.grace.Store(int64(grace)) }

// Grace returns the grace period of the pod.
func (s *Shutdown) Grace() time.Duration { return time.Duration(s.grace.Load()) }

// Reserve returns the part of the grace period that the agent keeps for itself when it stops the application: for the
// end of Flux and the hook after it. It is a fifth of the grace period, at least 5 s and at most 30 s, but never more
// than half of it.
func (s *Shutdown) Reserve() time.Duration {
	grace := s.Grace()
	return min(max(grace/5, 5*time.Second), 30*time.Second, grace/2)
}

// SetElapsed sets the function that returns how much of the grace period had elapsed when the request arrived: preStop
// hooks run before it.
func (s *Shutdown) SetElapsed(f func(at time.Time) time.Duration) { s.elapsed.Store(&f) }

// Forward sets the function that gets the signals of the application: SIGUSR1, SIGUSR2 and SIGWINCH. Until then they
// are discarded.
func (s *Shutdown) Forward(f func(syscall.Signal)) { s.forward.Store(&f) }

// Done returns a channel that is closed when the shutdown is requested.
func (s *Shutdown) Done() <-chan struct{} { return s.done }

// Context returns a context that ends when the shutdown is requested.
func (s *Shutdown) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Signal returns the signal that requested the shutdown, nil before that.
func (s *Shutdown) Signal() os.Signal {
	if !s.Requested() {
		return nil
	}
	return s.signal
}

// Requested reports whether the shutdown was requested.
func (s *Shutdown) Requested() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Remaining returns the time until only reserve of the grace period remains. Before the request that is forever.
func (s *Shutdown) Remaining(reserve time.Duration) time.Duration {
	if !s.Requested() {
		return 1<<63 - 1
	}
	left := time.Until(s.at.Add(s.Grace() - reserve))
	if elapsed := s.elapsed.Load(); elapsed != nil {
		left -= (*elapsed)(s.at)
	}
	return max(0, left)
}

// Sleep waits for d, and reports whether it was not interrupted by the request to stop.
func (s *Shutdown) Sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		// A select with several ready cases takes any of them.
		return !s.Requested()
	case <-s.done:
		return false
	}
}

// Expired returns a channel that is closed when ended is closed, or when only reserve of the grace period remains.
func (s *Shutdown) Expired(ended <-chan struct{}, reserve time.Duration) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		select {
		case <-ended:
			return
		case <-s.done:
		}
		timer := time.NewTimer(s.Remaining(reserve))
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
		}
	}()
	return out
}
