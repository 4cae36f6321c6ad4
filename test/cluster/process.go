package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// killPatience is how long a program may take to stop by itself.
const killPatience = 10 * time.Second

// command is a program to start.
type command struct {
	name string
	path string
	args []string
	env  []string
	// log takes what the program says on standard error, and on standard output too unless lines is set.
	log string
	// lines asks for the program's standard output.
	lines bool
	// detached lets the program outlive this process.
	detached bool
}

// process is a program that runs.
type process struct {
	name string
	log  string
	os   *os.Process
	// lines is closed when the program has closed its standard output.
	lines <-chan string
	// ended is closed when the program has ended; err says how.
	ended chan struct{}
	err   error
}

func startProcess(c command) (*process, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", c.name, err)
	}
	defer log.Close()

	cmd := exec.Command(c.path, c.args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C at a terminal ends this process, which then stops its children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !c.detached {
		dieWithParent(cmd.SysProcAttr)
	}
	p := &process{name: c.name, log: c.log, ended: make(chan struct{})}
	var output, child *os.File
	if c.lines {
		if output, child, err = os.Pipe(); err != nil {
			return nil, fmt.Errorf("making a pipe for %s: %w", c.name, err)
		}
		defer child.Close()
		cmd.Stdout = child
		p.lines = readLines(output)
	}

	started := make(chan error)
	go func() {
		// The kernel takes the thread that starts a child for its parent, and ends the child with it. Threads
		// come and go; this one has to stay as long as the child does.
		runtime.LockOSThread()
		err := cmd.Start()
		p.os = cmd.Process
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
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	return p, nil
}

func readLines(from io.ReadCloser) <-chan string {
	// The buffer is for a reader who has heard enough; programs here say a few words at most.
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

// waitForLine returns when the program has printed the line. A program that ends before that says why in its log.
func (p *process) waitForLine(ctx context.Context, want string) error {
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
			return fmt.Errorf("waiting for %s to say %q (its log is %s): %w", p.name, want, p.log, ctx.Err())
		}
	}
}

// during does something that cannot succeed without the program, and gives up if the program ends.
func (p *process) during(ctx context.Context, do func(context.Context) error) error {
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

// complaint describes the end of a program that should not have ended.
func (p *process) complaint(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the end of %s: %w", p.name, ctx.Err())
	}
	return fmt.Errorf("%s ended (%v); the end of its log:\n%s", p.name, p.err, lastLines(p.log, 10)) //nolint:errorlint // nil when it ended well
}

func lastLines(path string, n int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// stop asks the program to end, and ends it if that takes too long. How a program ends that was told to is of no
// interest.
func (p *process) stop() error {
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

func (p *process) signal(signal os.Signal) error {
	if err := p.os.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s (process %d): %w", signal, p.name, p.os.Pid, err)
	}
	return nil
}
