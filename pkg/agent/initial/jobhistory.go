package initial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// jobHistory records the earlier runs of an instance. It is stored in the state directory, together with the jobs that
// it describes.
type jobHistory struct {
	// Cluster is the MiniCluster of these runs.
	Cluster string `json:"cluster"`
	// Kept are the active jobs that no program of this MiniCluster submitted: jobs from an archive, or of another
	// MiniCluster that used the same volume.
	Kept []string `json:"kept,omitempty"`
}

// fileJobHistory is its name in the state directory.
const fileJobHistory = "minicluster.json"

// readyInstance prepares the instance for the program. If a program ran before with the same state, its active jobs are
// canceled: the program submits its jobs again. Jobs from an archive stay.
func (r *runner) readyInstance(ctx context.Context, o Options) error {
	if o.Restored {
		// The archive may contain stopped queues.
		if err := r.fluxCommand(ctx, "queue", "start", "--all"); err != nil {
			return fmt.Errorf("starting queues: %w", err)
		}
		if err := archive.Restored(o.State); err != nil {
			return err
		}
	}
	if !submits(r.Plan.Lead.Mode) {
		return nil
	}
	if o.Fresh || o.Restored {
		return r.startHistory(ctx, o)
	}
	h, err := readHistory(o.State)
	if err != nil {
		return err
	}
	if h == nil || h.Cluster != o.Cluster {
		return r.startHistory(ctx, o)
	}
	active, err := r.activeJobs(ctx)
	if err != nil {
		return err
	}
	return r.cancel(ctx, slices.DeleteFunc(active, func(id string) bool { return slices.Contains(h.Kept, id) }))
}

// readHistory returns the history in a state directory, nil if there is none.
func readHistory(state string) (*jobHistory, error) {
	text, err := os.ReadFile(filepath.Join(state, fileJobHistory))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var h jobHistory
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the jobs of the previous run: %w", err)
	}
	return &h, nil
}

// startHistory records the jobs that exist before the program starts.
func (r *runner) startHistory(ctx context.Context, o Options) error {
	h := jobHistory{Cluster: o.Cluster}
	var err error
	if !o.Fresh {
		if h.Kept, err = r.activeJobs(ctx); err != nil {
			return err
		}
	}
	text, err := json.Marshal(h)
	if err == nil {
		err = atomicfile.Write(filepath.Join(o.State, fileJobHistory), text, 0o600, nil)
	}
	if err != nil {
		return fmt.Errorf("recording the jobs that the program did not submit: %w", err)
	}
	return nil
}

// submits reports whether the program of a mode submits jobs.
func submits(mode plan.Mode) bool {
	return mode == plan.ModeSubmit || mode == plan.ModeLauncher || mode == plan.ModeBatch
}

// activeJobs returns the jobs of all users that have not ended.
func (r *runner) activeJobs(ctx context.Context) ([]string, error) {
	out, err := r.fluxOutput(ctx, "jobs", "-A", "--count=0", "--filter=pending,running", "-n", "-o", "{id.dec}")
	if err != nil {
		return nil, fmt.Errorf("listing active jobs: %w", err)
	}
	return strings.Fields(out), nil
}

// cancelTimeout is how long canceled jobs may take to end.
const cancelTimeout = 10 * time.Second

// cancel cancels jobs and waits a limited time for their end.
func (r *runner) cancel(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	klog.FromContext(ctx).Info("Canceling jobs of the previous run", "jobs", len(ids))
	if err := r.fluxCommand(ctx, append([]string{"cancel", "--quiet"}, ids...)...); err != nil {
		return fmt.Errorf("canceling jobs of the previous run: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	for {
		active, err := r.activeJobs(ctx)
		if err != nil {
			return fmt.Errorf("waiting for the end of jobs of the previous run: %w", err)
		}
		if !slices.ContainsFunc(active, func(id string) bool { return slices.Contains(ids, id) }) {
			return nil
		}
	}
}
