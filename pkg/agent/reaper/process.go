package reaper

import (
	"context"
	"syscall"
	"time"
)

// Process is a child that a Table started.
type Process struct {
	// PID is its process ID.
	PID int

	table  *Table
	done   chan struct{}
	status syscall.WaitStatus // set before done is closed
}

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	return p.done
}

// Signal sends a signal, unless the process has ended.
func (p *Process) Signal(sig syscall.Signal) {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	if p.table.children[p.PID] == p {
		_ = syscall.Kill(p.PID, sig) // it fails only where the process has just ended
	}
}

// Status returns how the process ended. It must have ended.
func (p *Process) Status() Status {
	return Status(p.status)
}

// Stop stops the process: with SIGTERM, and with SIGKILL if it has not ended after timeout or when ctx ends.
func (p *Process) Stop(ctx context.Context, timeout time.Duration) Status {
	p.Signal(syscall.SIGTERM)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.Status()
	case <-timer.C:
	case <-ctx.Done():
	}
	p.Signal(syscall.SIGKILL)
	<-p.done
	return p.Status()
}

// Status is how a process ended.
type Status syscall.WaitStatus

// Code returns the exit code as a shell reports it: 128 and the number of the signal for a process that a signal
// killed.
func (s Status) Code() int {
	status := syscall.WaitStatus(s)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// String describes how the process ended.
func (s Status) String() string {
	status := syscall.WaitStatus(s)
	if status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return "exit code " + itoa(status.ExitStatus())
}
