package reaper

import (
	"context"
	"errors"
	"strconv"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// Process is a child that a Table started.
type Process struct {
	// PID is its process ID.
	PID int

	table  *Table
	group  bool
	done   chan struct{}
	status syscall.WaitStatus // set before done is closed
}

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	return p.done
}

// Signal sends a signal to the process, or to its group, unless the process has ended.
func (p *Process) Signal(sig syscall.Signal) {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	if p.table.children[p.PID] != p {
		return
	}
	if err := Kill(p.target(), sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		// Root without CAP_KILL may not signal processes of other users.
		klog.Background().Error(err, "Failed to signal a process", "pid", p.PID, "signal", sig.String())
	}
}

// Forward sends a signal of the application to the process, or to those processes of its group that handle it.
func (p *Process) Forward(sig syscall.Signal) {
	if p.group {
		ForwardToGroup(p.PID, sig)
		return
	}
	p.Signal(sig)
}

// target is the argument of kill(2) that addresses the process or its group.
func (p *Process) target() int {
	if p.group {
		return -p.PID
	}
	return p.PID
}

// Status returns how the process ended. It must have ended.
func (p *Process) Status() Status {
	return Status(p.status)
}

// Stop stops the process, and its group: with SIGTERM, and with SIGKILL what has not ended after timeout or when ctx
// ends.
func (p *Process) Stop(ctx context.Context, timeout time.Duration) Status {
	p.Signal(syscall.SIGTERM)
	p.Wait(ctx, timeout)
	p.Signal(syscall.SIGKILL)
	if p.group {
		p.killGroup()
	}
	<-p.done
	return p.Status()
}

// Wait waits until the process and all other processes of its group have ended, for at most timeout or until ctx ends.
// A shell may end before the program that it runs.
func (p *Process) Wait(ctx context.Context, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return
	case <-ctx.Done():
		return
	}
	ticker := time.NewTicker(groupInterval)
	defer ticker.Stop()
	for p.group && GroupExists(p.PID) {
		select {
		case <-ticker.C:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// groupInterval is how often a process group is checked: the kernel does not report its end.
const groupInterval = 20 * time.Millisecond

// killGroup kills what remains of the group of a process that has ended. The ID of the group stays valid while the
// group has a member.
func (p *Process) killGroup() {
	if GroupExists(p.PID) {
		_ = syscall.Kill(-p.PID, syscall.SIGKILL) // it fails only if the last member has just ended
	}
}

// GroupExists reports whether a process group has members.
func GroupExists(id int) bool {
	err := syscall.Kill(-id, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
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

// Signaled reports whether a signal ended the process.
func (s Status) Signaled() bool { return syscall.WaitStatus(s).Signaled() }

// String describes how the process ended.
func (s Status) String() string {
	status := syscall.WaitStatus(s)
	if status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return "exit code " + strconv.Itoa(status.ExitStatus())
}
