package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// fileLock is locked by the lead in its state directory.
const fileLock = "minicluster.lock"

// stateDir is the lead's state directory.
func (r *runner) stateDir() string {
	return r.path(r.instance.Files.StateDir)
}

// writeState writes a file of the agent to the state directory, for the broker's
// user.
func (r *runner) writeState(name string, text []byte) error {
	file := filepath.Join(r.stateDir(), name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	if as := r.instance.Credential; as != nil {
		return os.Chown(file, int(as.Uid), int(as.Gid))
	}
	return nil
}

// lockState locks the lead's state as long as the file is open, where the state is
// on a volume: a predecessor that still runs somewhere would write to it too.
func (r *runner) lockState(ctx context.Context) (io.Closer, error) {
	if r.plan.StateVolume == "" {
		return io.NopCloser(nil), nil
	}
	return r.lockVolume(ctx, filepath.Join(r.stateDir(), fileLock))
}

// lockVolume waits until no other lead has the volume, and leaves there who has.
func (r *runner) lockVolume(ctx context.Context, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, exit(plan.ExitPrepare, fmt.Errorf("locking the volume of the state: %w", err))
	}
	told := false
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, exit(plan.ExitPrepare, fmt.Errorf("locking the volume of the state: %w", err))
		}
		if !told {
			told = true
			holder, _ := io.ReadAll(io.LimitReader(f, 256)) // only for the log
			klog.FromContext(ctx).Info("Another lead has the volume of the state; waiting for it", "holder", string(holder))
		}
		if !r.stop.Sleep(time.Second) {
			f.Close()
			return nil, exit(plan.ExitStopped, nil)
		}
	}
	host, _ := os.Hostname() // only for the log of others
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(host), 0)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "The volume of the state may be full")
	}
	return f, nil
}
