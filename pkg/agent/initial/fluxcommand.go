package initial

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/agent/prepare"
)

// fluxCommand runs a flux command without output.
func (r *runner) fluxCommand(ctx context.Context, args ...string) error {
	_, err := r.fluxOutput(ctx, args...)
	return err
}

// fluxOutput returns the output of a flux command.
func (r *runner) fluxOutput(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.flux(), args...)
	cmd.Env = r.Environ
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("flux %s: %w", args[0], ctx.Err())
	case errors.As(err, &failed) && len(failed.Stderr) > 0:
		return "", fmt.Errorf("flux %s: %w: %s", args[0], err, strings.TrimSpace(string(failed.Stderr)))
	case err != nil:
		return "", fmt.Errorf("flux %s: %w", args[0], err)
	}
	return string(out), nil
}

// flux returns the command of the broker's Flux, whatever PATH is.
func (r *runner) flux() string {
	if file, err := exec.LookPath(r.Path(prepare.FluxLink(r.Plan))); err == nil {
		return file
	}
	return "flux"
}
