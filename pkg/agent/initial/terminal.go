package initial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
)

// idleTimeout is how long no output may arrive after the end of a program, until the agent continues. It applies only
// if the program leaves a process in the background, which keeps the terminal open.
const idleTimeout = time.Second

// maxTimeouts is how many times idleTimeout may pass after the end of a program while there is still output. A terminal
// holds at most 68 KiB, which are read in blocks of 4 KiB, so later output is that of processes in the background.
const maxTimeouts = 20

// showLines gives a command terminals for its output, so that each line is in the log of the container at once:
// flux submit --watch writes to a pipe in blocks and at its end. It returns a function to call after the end of the
// command, which waits until the output is in the log. After a request to stop, it waits at most until half of the
// reserve of the grace period remains: the instance has to be saved even if the log accepts no output.
func (r *runner) showLines(ctx context.Context, s *shutdown.Shutdown, cmd *exec.Cmd) (wait func()) {
	// Otherwise a write to a standard output that is closed ends the agent. The program would inherit an ignored signal.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	var terminals []*terminal
	for _, stream := range []struct {
		of *io.Writer
		to *os.File
	}{{&cmd.Stdout, r.Stdout}, {&cmd.Stderr, r.Stderr}} {
		if pod.IsTerminal(stream.to) {
			continue
		}
		t, err := openTerminal(stream.to)
		if err != nil {
			klog.FromContext(ctx).V(1).Info("The output of the program appears in blocks", "reason", err.Error())
			continue
		}
		*stream.of = t.program
		terminals = append(terminals, t)
	}
	return func() {
		for _, t := range terminals {
			t.program.Close()
			_ = t.agent.SetReadDeadline(time.Now().Add(idleTimeout)) // it fails if all of the output is written
		}
		for _, t := range terminals {
			<-s.Expired(t.written, s.Reserve()/2)
		}
	}
}

// terminal is a pseudoterminal whose output is written to a file.
type terminal struct {
	// agent and program are its two ends.
	agent, program *os.File
	// written is closed when the file has the output of the program.
	written chan struct{}
}

// openTerminal opens a terminal that does not change the output.
func openTerminal(to io.Writer) (*terminal, error) {
	agent, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	program, err := otherEnd(agent)
	if err != nil {
		_ = unix.Close(agent) // nothing was written
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	t := &terminal{
		agent: os.NewFile(uintptr(agent), "/dev/ptmx"), program: os.NewFile(uintptr(program), "terminal"),
		written: make(chan struct{}),
	}
	go t.copyTo(to)
	return t, nil
}

// otherEnd returns the end for the program of a new terminal, ioctl_tty(2).
func otherEnd(agent int) (int, error) {
	if err := unix.IoctlSetPointerInt(agent, unix.TIOCSPTLCK, 0); err != nil {
		return 0, err
	}
	settings, err := unix.IoctlGetTermios(agent, unix.TCGETS)
	if err != nil {
		return 0, err
	}
	settings.Oflag &^= unix.OPOST // it writes a carriage return before each newline
	if err := unix.IoctlSetTermios(agent, unix.TCSETS, settings); err != nil {
		return 0, err
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	program, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(agent), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return 0, errno
	}
	return int(program), nil
}

// copyTo copies the output until no process has the terminal open, which is an error of the last read. An error of a
// write closes the terminal, so that the program gets an error, too.
func (t *terminal) copyTo(to io.Writer) {
	defer t.agent.Close()
	for timeouts := 0; timeouts < maxTimeouts; {
		n, err := io.Copy(to, t.agent)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			close(t.written)
			return
		}
		if n == 0 && !t.readable() {
			break
		}
		if n > 0 {
			timeouts++
		}
		_ = t.agent.SetReadDeadline(time.Now().Add(idleTimeout)) // it does not fail while the file is open
	}
	close(t.written)
	_ = t.agent.SetReadDeadline(time.Time{})
	_, _ = io.Copy(to, t.agent) // processes in the background
}

// readable reports whether there is output to read. A deadline that passed while this process waited for a CPU says
// nothing about that.
func (t *terminal) readable() bool {
	conn, err := t.agent.SyscallConn()
	if err != nil {
		return false
	}
	ready := 0
	err = conn.Control(func(fd uintptr) {
		ready, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return err == nil && ready > 0
}
