package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/flux"
)

const (
	// earlySaveTimeout limits an archive that is written while jobs still run.
	earlySaveTimeout = 5 * time.Minute
	// earlySavePeriod is the time between two of them, for jobs that were submitted in between.
	earlySavePeriod = time.Minute
)

// earlySave is the archive that is written while jobs still run, after the queues were stopped: a lead whose pod is
// lost before they end loses no pending job, and runs none again that ended meanwhile.
type earlySave struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
	// saved is when the last one was complete.
	saved time.Time
}

// start starts to write the archive, unless there is a recent one.
func (e *earlySave) start(ctx context.Context, v *Supervisor) {
	if v.Plan.Archive.Path == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cancel != nil {
		select {
		case <-e.done:
		default:
			return
		}
	}
	if time.Since(e.saved) < earlySavePeriod {
		return
	}
	ctx, e.cancel = context.WithTimeout(ctx, earlySaveTimeout)
	done := make(chan struct{})
	e.done = done
	go func() {
		defer close(done)
		err := v.dumpEarly(ctx)
		switch {
		case err == nil:
			e.mu.Lock()
			e.saved = time.Now()
			e.mu.Unlock()
		case ctx.Err() == nil:
			klog.FromContext(ctx).Error(err, "Failed to save the instance before its jobs have ended; retrying")
		}
	}()
}

// reset forgets the archive of an earlier hibernation.
func (e *earlySave) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.saved = time.Time{}
}

// stop ends the writing, and waits for its end.
func (e *earlySave) stop() {
	e.mu.Lock()
	cancel, done := e.cancel, e.done
	e.cancel = nil
	e.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// dumpEarly writes the archive. It must not contain a job while it ends, because Flux cannot restore that.
func (v *Supervisor) dumpEarly(ctx context.Context) error {
	client, err := v.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer client.Close()
	before, err := steadyJobs(ctx, client)
	if err != nil {
		return err
	}
	part := archive.Partial(v.archiveFile(), "draining")
	defer os.RemoveAll(part)
	p, err := v.table.Start(reaper.Command{
		Path: v.Path(v.instance.Flux), Args: []string{"dump", "--quiet", part}, Env: append(slices.Clone(v.instance.Env), "FLUX_URI="+v.instance.Files.SocketURI),
		Credential: v.instance.Credential, Group: true, Stderr: v.Stderr,
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Signal(syscall.SIGKILL)
		// A process that waits for a file system that does not respond stays.
		p.Wait(context.WithoutCancel(ctx), killTimeout)
		return ctx.Err()
	}
	if p.Status().Code() != 0 {
		return fmt.Errorf("flux dump ended with %s", p.Status())
	}
	after, err := steadyJobs(ctx, client)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return errEnding
	}
	_, err = archive.VerifyAndPublish(ctx, v.archiveFile(), part)
	return err
}

var errEnding = errors.New("jobs were ending")

// steadyJobs returns the jobs that run. It is an error if one of them is ending.
func steadyJobs(ctx context.Context, client *flux.Client) ([]flux.JobID, error) {
	jobs, err := client.Jobs(ctx, flux.JobRunning, 0, "state")
	if err != nil {
		return nil, fmt.Errorf("list running jobs: %w", err)
	}
	var ids []flux.JobID
	for _, job := range jobs {
		if job.State != flux.JobRun {
			return nil, errEnding
		}
		ids = append(ids, job.ID)
	}
	slices.Sort(ids)
	return ids, nil
}
