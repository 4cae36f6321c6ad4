package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program whose use of the machine is measured.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	err   error
}

// launch starts a program that ends with this one. What it says goes to log.
func launch(ctx context.Context, log io.Writer, env []string, name string, args ...string) (*process, error) {
	// It is to be stopped in order, not by the end of a context.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C at a terminal reaches only us, and we stop it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe for %s: %w", name, err)
	}
	p := &process{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel takes the thread that starts a child for its parent.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// killPatience is how long a program may take to stop by itself.
const killPatience = 20 * time.Second

// stop ends the program, in order if it can.
func (p *process) stop() error {
	signal := func(s os.Signal) error {
		if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stopping %s: %w", p.cmd.Path, err)
		}
		return nil
	}
	if err := signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(killPatience):
	}
	if err := signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// during does something that can't succeed without the program.
func (p *process) during(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.ended:
			cancel(fmt.Errorf("%s ended: %w", p.cmd.Path, p.err))
		case <-ctx.Done():
		}
	}()
	return do(ctx)
}

// usage is what a program has used of the machine.
type usage struct {
	CPU time.Duration
	// RSS and PeakRSS are in bytes.
	RSS     int64
	PeakRSS int64
}

// userHz is the unit of times in /proc, the same on all of Linux' platforms that
// matter here.
const userHz = 100

// usage reads /proc; where there is none, it is all zero.
func (p *process) usage() (usage, error) {
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return usage{}, nil
	}
	if err != nil {
		return usage{}, fmt.Errorf("reading the CPU time of %s: %w", p.cmd.Path, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return usage{}, fmt.Errorf("reading the memory of %s: %w", p.cmd.Path, err)
	}
	return parseUsage(stat, status)
}

func parseUsage(stat, status []byte) (usage, error) {
	var u usage
	// The second field is the name, in parentheses, and may contain anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("what is this in /proc/PID/stat: %q", stat)
	}
	for _, field := range fields[11:13] { // utime, stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, fmt.Errorf("reading /proc/PID/stat: %w", err)
		}
		u.CPU += time.Duration(ticks) * time.Second / userHz
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return u, fmt.Errorf("reading /proc/PID/status: %w", err)
		}
		switch fields[0] {
		case "VmRSS:":
			u.RSS = n << 10
		case "VmHWM:":
			u.PeakRSS = n << 10
		}
	}
	return u, nil
}
