// Package process starts programs on this machine, such as those of a cluster, waits for what they print, measures
// what they use, and stops them in order or with their parent. It must not depend on what the programs do.
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// killPatience is how long a program may take to stop by itself.
const killPatience = 10 * time.Second

// Command is a program to start.
type Command struct {
	// Name is the name of the program in errors.
	Name string
	Path string
	Args []string
	// Env is added to the environment of this process.
	Env []string
	// Log is the file for the program's standard error, and for its standard output unless Lines is set. Without it,
	// they go to Output, which may be nil.
	Log    string
	Output io.Writer
	// Input connects the program's standard input to [Process.Input].
	Input bool
	// Lines makes the program's standard output available to WaitForLine.
	Lines bool
	// Detached lets the program outlive this process.
	Detached bool
	// Files are inherited by the program, from file descriptor 3 on.
	Files []*os.File
	// Enter is called on the thread that starts the program, before the start. It may change that thread in ways that
	// children inherit, for example join namespaces: the thread is not used for anything else. See setns(2).
	Enter func() error
	// Attributes are set on the program; nil means none. The package adds others.
	Attributes *syscall.SysProcAttr
}

// Process is a running program.
type Process struct {
	name  string
	log   string
	os    *os.Process
	input io.WriteCloser
	// lines is closed when the program has closed its standard output.
	lines <-chan string
	// ended is closed when the program has ended; err says how.
	ended chan struct{}
	err   error
}

// Name returns the name of the program in errors.
func (p *Process) Name() string { return p.name }

// PID returns the program's process ID.
func (p *Process) PID() int { return p.os.Pid }

// Input returns the program's standard input, nil unless requested.
func (p *Process) Input() io.WriteCloser { return p.input }

// Usage returns the program's resource usage so far.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.os.Pid) }

// Ended returns a channel that is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Start starts a program.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	if c.Log != "" {
		log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the log of %s: %w", c.Name, err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
	}
	// A separate process group: Ctrl-C at a terminal ends this process, which then stops its children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if c.Attributes != nil {
		*cmd.SysProcAttr = *c.Attributes
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.ExtraFiles = c.Files
	// A program that has joined a process ID namespace ends with that namespace. A parent death signal would end it at
	// once, because its parent is outside the namespace.
	if !c.Detached && c.Enter == nil {
		dieWithParent(cmd.SysProcAttr)
	}
	p := &Process{name: c.Name, log: c.Log, ended: make(chan struct{})}
	var err error
	if c.Input {
		if p.input, err = cmd.StdinPipe(); err != nil {
			return nil, fmt.Errorf("creating a pipe for %s: %w", c.Name, err)
		}
	}
	var output, child *os.File
	if c.Lines {
		if output, child, err = os.Pipe(); err != nil {
			return nil, fmt.Errorf("creating a pipe for %s: %w", c.Name, err)
		}
		defer child.Close()
		cmd.Stdout = child
		p.lines = readLines(output)
	}

	started := make(chan error)
	go func() {
		// For the kernel, the parent of a child is the thread that started it, and it ends the child with that thread.
		// Therefore the thread must exist for as long as the child.
		runtime.LockOSThread()
		err := c.enter()
		if err == nil {
			err = cmd.Start()
			p.os = cmd.Process
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		if output != nil {
			err = errors.Join(err, child.Close(), output.Close())
		}
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	return p, nil
}

func (c Command) enter() error {
	if c.Enter == nil {
		return nil
	}
	return c.Enter()
}

func readLines(from io.ReadCloser) <-chan string {
	// The buffer is for lines that are no longer read; programs here print only a few.
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		defer from.Close()
		for scanner := bufio.NewScanner(from); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			default:
			}
		}
	}()
	return lines
}

// WaitForLine returns when the program has printed the line. If the program ends before, the error contains the end
// of its log.
func (p *Process) WaitForLine(ctx context.Context, want string) error {
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return p.complaint(ctx)
			}
			if line == want {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to print %q (its log is %s): %w", p.name, want, p.log, ctx.Err())
		}
	}
}

// During runs a function that cannot succeed without the program, and cancels it if the program ends.
func (p *Process) During(ctx context.Context, do func(context.Context) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(inner) }()
	select {
	case err := <-done:
		return err
	case <-p.ended:
		return p.complaint(ctx)
	}
}

// complaint describes the unexpected end of a program.
func (p *Process) complaint(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the end of %s: %w", p.name, ctx.Err())
	}
	if p.log == "" {
		return fmt.Errorf("%s ended (%v)", p.name, p.err) //nolint:errorlint // as below
	}
	return fmt.Errorf("%s ended (%v); the end of its log:\n%s", p.name, p.err, lastLines(p.log, 10)) //nolint:errorlint // nil when it ended well
}

// lastLines returns the last lines of a file, or those around the message of a panic, which a long stack trace follows.
func lastLines(path string, n int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	first := max(0, len(lines)-n)
	if i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "panic: ") }); i >= 0 {
		first = max(0, i-1)
	}
	return strings.Join(lines[first:min(first+n, len(lines))], "\n")
}

// Stop asks the program to end, and kills it if that takes too long. The exit code of a stopped program is ignored.
func (p *Process) Stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(killPatience):
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

func (p *Process) signal(signal os.Signal) error {
	if err := p.os.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s (process %d): %w", signal, p.name, p.os.Pid, err)
	}
	return nil
}
