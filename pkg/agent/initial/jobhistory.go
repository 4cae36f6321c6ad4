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
// it describes, and in the KVS of the instance, so that an archive contains it.
type jobHistory struct {
	// Cluster is the MiniCluster of these runs.
	Cluster string `json:"cluster"`
	// Kept are the active jobs that no program of this MiniCluster submitted: jobs from an archive, or of another
	// MiniCluster that used the same volume.
	Kept []string `json:"kept,omitempty"`
}

const (
	// fileJobHistory is the name of the history in the state directory.
	fileJobHistory = "minicluster.json"
	// keyJobHistory is the key of the history in the KVS.
	keyJobHistory = "minicluster.history"
)

// readyInstance prepares the instance for the program. If a program ran before with the same state, or with the archive
// from which the instance was restored, its active jobs are canceled: the program submits its jobs again. Other jobs
// from an archive stay.
func (r *runner) readyInstance(ctx context.Context, o Options) error {
	if o.Restored {
		// First of all: from now on the content of the instance is more recent than the archive.
		if err := archive.Restored(o.State); err != nil {
			return err
		}
	}
	var err error
	if submits(r.Plan.Lead.Mode) {
		err = r.readyJobs(ctx, o)
	}
	switch {
	case o.Queues != "":
		err = errors.Join(err, r.wake(ctx, o))
	case o.Restored:
		// The archive may contain drained ranks and stopped queues. These start after the cancellation of jobs.
		err = errors.Join(err, r.undrain(ctx))
		if errStart := r.fluxCommand(ctx, "queue", "start", "--all"); errStart != nil {
			err = errors.Join(err, fmt.Errorf("starting queues: %w", errStart))
		}
	}
	return err
}

// readyJobs cancels the active jobs of earlier runs of the program.
func (r *runner) readyJobs(ctx context.Context, o Options) error {
	var h *jobHistory
	var active []string
	var err error
	if !o.Fresh {
		if h, err = r.readHistory(ctx, o); err != nil {
			return err
		}
		if active, err = r.activeJobs(ctx); err != nil {
			return err
		}
	}
	if h == nil || h.Cluster != o.Cluster {
		return r.writeHistory(ctx, o, jobHistory{Cluster: o.Cluster, Kept: active})
	}
	if o.Restored {
		if err := r.writeHistory(ctx, o, *h); err != nil {
			return err
		}
	}
	return r.cancel(ctx, without(active, h.Kept))
}

// readHistory returns the history in the state directory, or in the KVS of a restored instance, nil if there is none.
func (r *runner) readHistory(ctx context.Context, o Options) (*jobHistory, error) {
	var text []byte
	var err error
	if o.Restored {
		out, errGet := r.fluxOutput(ctx, "kvs", "get", keyJobHistory)
		if errGet != nil || strings.TrimSpace(out) == "" {
			return nil, ctx.Err() // the archive has none
		}
		text = []byte(out)
	} else {
		text, err = os.ReadFile(filepath.Join(o.State, fileJobHistory))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
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

// writeHistory records the jobs that exist before the program starts.
func (r *runner) writeHistory(ctx context.Context, o Options, h jobHistory) error {
	text, err := json.Marshal(h)
	if err == nil {
		err = atomicfile.Write(filepath.Join(o.State, fileJobHistory), text, 0o600, nil)
	}
	if err != nil {
		return fmt.Errorf("recording the jobs that the program did not submit: %w", err)
	}
	if r.Plan.Archive.Path == "" {
		return nil
	}
	if err := r.fluxCommand(ctx, "kvs", "put", keyJobHistory+"="+string(text)); err != nil {
		klog.FromContext(ctx).Error(err, "Jobs that the program submits may run twice after a restore")
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

const (
	// cancelTimeout is how long canceled jobs may take to end. Each further thousand of them has the same time in
	// addition.
	cancelTimeout = 10 * time.Second
	// cancelBatch is the number of jobs of a flux cancel command: command lines are limited.
	cancelBatch = 1000
)

// cancel cancels jobs and waits a limited time for their end.
func (r *runner) cancel(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	klog.FromContext(ctx).Info("Canceling jobs of the previous run", "jobs", len(ids))
	for batch := range slices.Chunk(ids, cancelBatch) {
		if err := r.fluxCommand(ctx, append([]string{"cancel", "--quiet"}, batch...)...); err != nil {
			return fmt.Errorf("canceling jobs of the previous run: %w", err)
		}
	}
	ctx, stop := context.WithTimeout(ctx, cancelTimeout*time.Duration(1+len(ids)/cancelBatch))
	defer stop()
	for {
		active, err := r.activeJobs(ctx)
		if err != nil {
			return fmt.Errorf("waiting for the end of jobs of the previous run: %w", err)
		}
		if len(without(ids, active)) == len(ids) {
			return nil
		}
	}
}

// without returns the elements of a list that are not in another one.
func without(list, other []string) []string {
	set := make(map[string]bool, len(other))
	for _, s := range other {
		set[s] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return set[s] })
}
