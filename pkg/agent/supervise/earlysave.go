package supervise

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/reaper"
)

// earlySaveTimeout limits the archive from the beginning of a hibernation.
const earlySaveTimeout = 5 * time.Minute

// earlySave is the archive that is written while jobs still run, after the queues were stopped: a lead whose pod is
// lost before they end loses no pending job, and runs none again that ended meanwhile.
type earlySave struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// start starts to write the archive.
func (e *earlySave) start(ctx context.Context, v *Supervisor) {
	if v.Plan.Archive.Path == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cancel != nil {
		return
	}
	ctx, e.cancel = context.WithTimeout(ctx, earlySaveTimeout)
	done := make(chan struct{})
	e.done = done
	go func() {
		defer close(done)
		if err := v.dumpEarly(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Failed to save the instance before its jobs have ended")
		}
	}()
}

// stop ends the writing, and waits for its end.
func (e *earlySave) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cancel != nil {
		e.cancel()
		<-e.done
		e.cancel = nil
	}
}

// dumpEarly writes the archive.
func (v *Supervisor) dumpEarly(ctx context.Context) error {
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
	_, err = archive.VerifyAndPublish(ctx, v.archiveFile(), part)
	return err
}
