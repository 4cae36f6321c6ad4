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

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// history is what an instance's state remembers of its earlier runs. It lies in the
// state directory, and so goes with the jobs that it is about.
type history struct {
	// Cluster is the MiniCluster that these runs were of.
	Cluster string `json:"cluster"`
	// Kept are jobs that no program of it submitted: they were restored from an
	// archive, or are of another MiniCluster that had the same volume.
	Kept []string `json:"kept,omitempty"`
}

// fileHistory is its name in the state directory.
const fileHistory = "minicluster.json"

// readyInstance makes the instance ready for the initial program. Where one ran
// before, with the same state, what that left active is cancelled: the program
// submits its jobs anew. Jobs from an archive stay.
func (a *agent) readyInstance(ctx context.Context, o options) error {
	if o.restored {
		// The archive may be of an instance whose queues were stopped.
		if err := a.fluxCommand(ctx, "queue", "start", "--all"); err != nil {
			return fmt.Errorf("starting queues: %w", err)
		}
		if err := os.Remove(filepath.Join(o.state, fileRestoring)); err != nil {
			return fmt.Errorf("recording that the archive was restored: %w", err)
		}
	}
	if !submits(a.plan.Lead.Mode) {
		return nil
	}
	if o.fresh || o.restored {
		return a.startHistory(ctx, o)
	}
	h, err := readHistory(o.state)
	if err != nil {
		return err
	}
	if h == nil || h.Cluster != o.cluster {
		return a.startHistory(ctx, o)
	}
	active, err := a.activeJobs(ctx)
	if err != nil {
		return err
	}
	return a.cancel(ctx, slices.DeleteFunc(active, func(id string) bool { return slices.Contains(h.Kept, id) }))
}

// readHistory is the history in a state directory, nil where there is none.
func readHistory(state string) (*history, error) {
	text, err := os.ReadFile(filepath.Join(state, fileHistory))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var h history
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil {
		return nil, fmt.Errorf("finding jobs of the previous run: %w", err)
	}
	return &h, nil
}

// startHistory records the jobs that are there before the program.
func (a *agent) startHistory(ctx context.Context, o options) error {
	h := history{Cluster: o.cluster}
	var err error
	if !o.fresh {
		if h.Kept, err = a.activeJobs(ctx); err != nil {
			return err
		}
	}
	text, err := json.Marshal(h)
	if err == nil {
		err = os.WriteFile(filepath.Join(o.state, fileHistory), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("recording jobs that are not the program's: %w", err)
	}
	return nil
}

// submits tells whether a mode has a program that submits jobs.
func submits(mode plan.Mode) bool {
	return mode == plan.ModeSubmit || mode == plan.ModeLauncher || mode == plan.ModeBatch
}

// activeJobs are the jobs of all users that have not ended.
func (a *agent) activeJobs(ctx context.Context) ([]string, error) {
	out, err := a.fluxOutput(ctx, "jobs", "-A", "--count=0", "--filter=pending,running", "-n", "-o", "{id.dec}")
	if err != nil {
		return nil, fmt.Errorf("listing active jobs: %w", err)
	}
	return strings.Fields(out), nil
}

// cancelPatience is how long jobs have to end that are cancelled.
const cancelPatience = 10 * time.Second

// cancel cancels jobs and waits a while for their end.
func (a *agent) cancel(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	klog.FromContext(ctx).Info("Cancelling what the previous run left", "jobs", len(ids))
	if err := a.fluxCommand(ctx, append([]string{"cancel", "--quiet"}, ids...)...); err != nil {
		return fmt.Errorf("cancelling jobs of the previous run: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, cancelPatience)
	defer stop()
	for {
		active, err := a.activeJobs(ctx)
		if err != nil {
			return fmt.Errorf("waiting for the end of jobs of the previous run: %w", err)
		}
		if !slices.ContainsFunc(active, func(id string) bool { return slices.Contains(ids, id) }) {
			return nil
		}
	}
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
