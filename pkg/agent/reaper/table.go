// Package reaper starts child processes and reaps all that become children, as the first process of a container has
// to.
//
// A Table reaps with wait4(2) for any child. Therefore everything in the agent that starts a process while the table
// reaps starts it through the table. Code that uses os/exec must run under Hold.
package reaper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// prSetChildSubreaper is an option of prctl(2).
const prSetChildSubreaper = 36

// Command describes a process to start.
type Command struct {
	// Path of the program.
	Path string
	// Args are its arguments, without the name of the program.
	Args []string
	// Env is its whole environment.
	Env []string
	// Dir is its working directory; empty: that of the agent.
	Dir string
	// Credential is its user; nil: that of the agent.
	Credential *syscall.Credential
	// Group: it leads a separate process group, which gets the signals sent to it. A shell does not forward signals to
	// its children.
	Group bool
	// Stdin, Stdout and Stderr are its standard streams; nil is /dev/null.
	Stdin, Stdout, Stderr *os.File
}

// Table contains the children of this process.
type Table struct {
	null *os.File

	// mu serializes starting, signalling and reaping: another process may get the ID of a reaped one.
	mu       sync.Mutex
	children map[int]*Process
	held     bool
	wake     chan struct{}
}

// NewTable makes this process the reaper of its orphaned descendants, even if it is not the first process of its
// namespace, and reaps until ctx ends.
func NewTable(ctx context.Context) (*Table, error) {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0, 0, 0, 0); errno != 0 {
		return nil, fmt.Errorf("becoming the reaper of orphaned processes: %w", errno)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the null device: %w", err)
	}
	t := &Table{null: null, children: map[int]*Process{}, wake: make(chan struct{}, 1)}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			case <-t.wake:
			}
			t.reap()
		}
	}()
	return t, nil
}

// Hold suspends reaping until the returned function is called, for code that waits for its own children. Children
// that end in between are reaped later.
func (t *Table) Hold() (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.held = false
		select {
		case t.wake <- struct{}{}:
		default: // a wake-up is pending
		}
	}
}

// reap reaps every child that has ended.
func (t *Table) reap() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.held {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if p := t.children[pid]; p != nil {
			delete(t.children, pid)
			p.status = status
			close(p.done)
		}
	}
}

// Start starts a process.
func (t *Table) Start(c Command) (*Process, error) {
	files := []*os.File{c.Stdin, c.Stdout, c.Stderr}
	for i, f := range files {
		if f == nil {
			files[i] = t.null
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	started, err := os.StartProcess(c.Path, append([]string{c.Path}, c.Args...), &os.ProcAttr{
		Dir: c.Dir, Env: c.Env, Files: files, Sys: &syscall.SysProcAttr{Credential: c.Credential, Setpgid: c.Group},
	})
	if err != nil {
		return nil, fmt.Errorf("starting a process: %w", err)
	}
	p := &Process{table: t, PID: started.Pid, group: c.Group, done: make(chan struct{})}
	t.children[p.PID] = p
	_ = started.Release() // the table waits for it
	return p, nil
}

// Adopted returns the children that this process did not start itself: orphans of its descendants.
func (t *Table) Adopted() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []int
	for _, pid := range children(os.Getpid()) {
		if t.children[pid] == nil {
			out = append(out, pid)
		}
	}
	return out
}

// KillAdopted kills the adopted children and their children, for the end of the container: in a pod whose containers
// share their processes, they would remain until the runtime kills them. It gives up after timeout, because a process
// that waits for a file system that does not respond stays.
func (t *Table) KillAdopted(timeout time.Duration) {
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		adopted := t.Adopted()
		if len(adopted) == 0 {
			return
		}
		for _, pid := range adopted {
			t.SignalAdopted(pid, syscall.SIGKILL)
		}
		<-time.After(5 * time.Millisecond) // the kernel passes on the children of those that end
	}
}

// SignalAdopted sends a signal to an adopted child, and reports whether the child existed.
func (t *Table) SignalAdopted(pid int, sig syscall.Signal) bool {
	t.mu.Lock() // nothing is reaped in between, so the ID stays valid
	defer t.mu.Unlock()
	if t.children[pid] != nil || !isChild(pid) {
		return false
	}
	err := Kill(pid, sig)
	if errors.Is(err, syscall.EPERM) {
		klog.Background().Error(err, "Failed to signal an orphaned process of a broker", "pid", pid, "signal", sig.String())
	}
	return err == nil
}

// isChild reports whether a process is a child of this one.
func isChild(pid int) bool {
	p, ok := readInfo(strconv.Itoa(pid))
	return ok && p.Parent == os.Getpid()
}

// SignalAtParentsEnd makes the kernel send sig to this process when its parent ends. A parent with threads may not
// have ended completely when the signal arrives. It reports whether the parent is alive.
func SignalAtParentsEnd(parent int, sig syscall.Signal) bool {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0, 0)
	return errno == 0 && os.Getppid() == parent
}
