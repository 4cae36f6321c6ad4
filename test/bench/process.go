package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	childprocess "minicluster.internal/operator/test/framework/cluster/process"
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

// usage is what the program has used of the machine so far.
func (p *process) usage() (childprocess.Usage, error) { return childprocess.UsageOf(p.cmd.Process.Pid) }
