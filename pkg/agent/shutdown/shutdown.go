// Package shutdown is the request of Kubernetes to stop the pod: when it arrived, and how much of the grace period
// remains.
package shutdown

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Shutdown is the request to stop.
type Shutdown struct {
	done  chan struct{}
	grace time.Duration
	// at and signal are set before done is closed.
	at     time.Time
	signal os.Signal
}

// PodSignals returns the signals that stop a container.
func PodSignals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT}
}

// Listen waits for signals that request the agent to stop. Kubernetes kills the remaining processes when the grace
// period has passed.
func Listen(ctx context.Context, grace time.Duration, signals ...os.Signal) *Shutdown {
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	s := Never(grace)
	go func() {
		select {
		case s.signal = <-received:
			s.at = time.Now()
			close(s.done)
		case <-ctx.Done():
		}
	}()
	return s
}

// Never returns a Shutdown that is never requested.
func Never(grace time.Duration) *Shutdown {
	return &Shutdown{done: make(chan struct{}), grace: grace}
}

// Done returns a channel that is closed when the shutdown is requested.
func (s *Shutdown) Done() <-chan struct{} { return s.done }

// Grace returns the grace period of the pod.
func (s *Shutdown) Grace() time.Duration { return s.grace }

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
	return max(0, time.Until(s.at.Add(s.grace-reserve)))
}

// Sleep waits for d, and reports whether it was not interrupted by the request to stop.
func (s *Shutdown) Sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
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
