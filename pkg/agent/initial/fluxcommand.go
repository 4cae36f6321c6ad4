package initial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/agent/prepare"
)

const (
	// commandTimeout limits a flux command: a broker may hang.
	commandTimeout = 2 * time.Minute
	// dumpTimeout limits the writing of an archive: a file system may hang.
	dumpTimeout = 15 * time.Minute
	// killTimeout is how long a killed command may take to end. One that waits for a file system that does not respond
	// is not waited for any longer.
	killTimeout = time.Second
)

// fluxCommand runs a flux command without output.
func (r *runner) fluxCommand(ctx context.Context, args ...string) error {
	_, err := r.fluxOutput(ctx, args...)
	return err
}

// fluxOutput returns the output of a flux command. It returns soon after ctx has ended, whatever the command does.
func (r *runner) fluxOutput(ctx context.Context, args ...string) (string, error) {
	timeout := commandTimeout
	if args[0] == "dump" {
		timeout = dumpTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, r.flux(), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.Environ, &out, &errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killTimeout
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("flux %s: %w", args[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case <-done: //nolint:errcheck // the context ended it
		case <-time.After(2 * killTimeout):
		}
		return "", fmt.Errorf("flux %s: %w", args[0], ctx.Err())
	}
	var failed *exec.ExitError
	if errors.As(err, &failed) && errOut.Len() > 0 {
		return "", fmt.Errorf("flux %s: %w: %s", args[0], err, strings.TrimSpace(errOut.String()))
	}
	if err != nil {
		return "", fmt.Errorf("flux %s: %w", args[0], err)
	}
	return out.String(), nil
}

// flux returns the command of the broker's Flux, whatever PATH is.
func (r *runner) flux() string {
	if file, err := exec.LookPath(r.Path(prepare.FluxLink(r.Plan))); err == nil {
		return file
	}
	return "flux"
}
