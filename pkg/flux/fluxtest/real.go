package fluxtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// ErrNotInstalled is the error if the command flux does not exist.
var ErrNotInstalled = errors.New("the command flux is not installed")

// Real is an instance of the installed Flux with all its brokers on this machine.
type Real struct {
	uri   string
	cmd   *exec.Cmd
	stdin io.Closer
}

// StartReal starts an instance with a number of brokers, and waits until its lead runs. It must be closed; it does
// not end with ctx. The error is [ErrNotInstalled] if Flux is not installed.
func StartReal(ctx context.Context, size int) (*Real, error) {
	if _, err := exec.LookPath("flux"); err != nil {
		return nil, ErrNotInstalled
	}
	// The instance ends with its program, which ends with its input.
	cmd := exec.CommandContext(context.WithoutCancel(ctx),
		"flux", "start", fmt.Sprint("--test-size=", size), "sh", "-c", "echo $FLUX_URI; cat")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &Real{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the instance did not start: %w", err), r.Close())
	}
	r.uri = strings.TrimSpace(line)
	return r, nil
}

// URI returns the URI of the lead's local socket.
func (r *Real) URI() string { return r.uri }

// Run runs a flux command in the instance, and returns its output.
func (r *Real) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "flux", args...)
	cmd.Env = append(os.Environ(), "FLUX_URI="+r.uri)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("flux %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Close stops the instance, and returns the error of its end.
func (r *Real) Close() error {
	r.stdin.Close()
	return r.cmd.Wait()
}
