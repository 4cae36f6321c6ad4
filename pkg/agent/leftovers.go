package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/agent/plan"
)

// history is what an instance's state remembers of its earlier runs. It lies in the
// state directory, and so goes with the jobs that it is about.
type history struct {
	// Kept are jobs that no initial program of this MiniCluster submitted: those
	// restored from an archive.
	Kept []string `json:"kept,omitempty"`
}

// fileHistory is its name in the state directory.
const fileHistory = "minicluster.json"

// readyInstance makes the instance ready for the initial program. Where one ran
// before, with the same state, what that left active is cancelled: the program
// submits its jobs anew. Jobs from an archive stay.
func (a *agent) readyInstance(ctx context.Context, restored bool) error {
	if restored {
		// The archive may be of an instance whose queues were stopped.
		if err := a.fluxCommand(ctx, "queue", "start", "--all"); err != nil {
			return fmt.Errorf("starting queues: %w", err)
		}
	}
	dir, err := a.stateDir(ctx)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, fileRestoring)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording that the archive was restored: %w", err)
	}
	if !submits(a.plan.Lead.Mode) {
		return nil
	}
	active, err := a.activeJobs(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, fileHistory)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err := json.Marshal(history{Kept: active})
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("recording jobs that are not the program's: %w", err)
		}
		return nil
	}
	var h history
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil {
		return fmt.Errorf("finding jobs that are not the program's: %w", err)
	}
	return a.cancel(ctx, slices.DeleteFunc(active, func(id string) bool { return slices.Contains(h.Kept, id) }))
}

// submits tells whether a mode has a program that submits jobs.
func submits(mode plan.Mode) bool {
	return mode == plan.ModeSubmit || mode == plan.ModeLauncher || mode == plan.ModeBatch
}

func (a *agent) stateDir(ctx context.Context) (string, error) {
	out, err := a.fluxOutput(ctx, "getattr", "statedir")
	if err != nil {
		return "", fmt.Errorf("asking for the state directory: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// activeJobs are the jobs of all users that have not ended.
func (a *agent) activeJobs(ctx context.Context) ([]string, error) {
	out, err := a.fluxOutput(ctx, "jobs", "-A", "--count=0", "--filter=pending,running", "-n", "-o", "{id.dec}")
	if err != nil {
		return nil, fmt.Errorf("listing active jobs: %w", err)
	}
	return strings.Fields(out), nil
}

// cancel cancels jobs and waits a while for their end.
func (a *agent) cancel(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := a.fluxCommand(ctx, append([]string{"cancel", "--quiet"}, ids...)...); err != nil {
		return fmt.Errorf("cancelling jobs of the previous run: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	for _, id := range ids {
		if err := a.fluxCommand(ctx, "job", "wait-event", "--quiet", id, "clean"); err != nil {
			return fmt.Errorf("waiting for the end of jobs of the previous run: %w", err)
		}
	}
	return nil
}

// fluxCommand runs a flux command silently.
func (a *agent) fluxCommand(ctx context.Context, args ...string) error {
	_, err := a.fluxOutput(ctx, args...)
	return err
}

// fluxOutput is what a flux command prints.
func (a *agent) fluxOutput(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "flux", args...)
	cmd.Env = a.environ
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
