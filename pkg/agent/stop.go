package agent

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stop is Kubernetes telling the pod to stop.
type stop struct {
	// Done is closed when it was told.
	Done  <-chan struct{}
	grace time.Duration
	// at and signal are set before Done is closed.
	at     time.Time
	signal os.Signal
}

// newStop listens for signals that end the agent. Kubernetes kills what is left
// when grace has passed.
func newStop(ctx context.Context, grace time.Duration, signals ...os.Signal) *stop {
	told := make(chan os.Signal, 1)
	signal.Notify(told, signals...)
	done := make(chan struct{})
	s := &stop{Done: done, grace: grace}
	go func() {
		select {
		case s.signal = <-told:
			s.at = time.Now()
			close(done)
		case <-ctx.Done():
		}
	}()
	return s
}

// podSignals end a container.
var podSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT}

// Told tells whether the pod was told to stop.
func (s *stop) Told() bool {
	select {
	case <-s.Done:
		return true
	default:
		return false
	}
}

// Left is the time until only reserve is left of the grace period: for ever before
// the pod was told to stop.
func (s *stop) Left(reserve time.Duration) time.Duration {
	if !s.Told() {
		return 1<<63 - 1
	}
	return max(0, time.Until(s.at.Add(s.grace-reserve)))
}

// Sleep waits for d, and tells false when the pod was told to stop before.
func (s *stop) Sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.Done:
		return false
	}
}

// done is closed when ended is, or when only reserve is left of the grace period.
func (s *stop) done(ended <-chan struct{}, reserve time.Duration) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		select {
		case <-ended:
			return
		case <-s.Done:
		}
		timer := time.NewTimer(s.Left(reserve))
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
		}
	}()
	return out
}
