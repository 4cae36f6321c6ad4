package supervise

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

	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// fileLock is locked by the lead in its state directory.
const fileLock = "minicluster.lock"

// stateDir returns the state directory of the lead.
func (v *Supervisor) stateDir() string {
	return v.Path(v.instance.Files.StateDir)
}

// brokerOwner returns the owner of the broker's files, nil if the broker runs as the user of the agent.
func (v *Supervisor) brokerOwner() *atomicfile.Owner {
	if as := v.instance.Credential; as != nil {
		return &atomicfile.Owner{UID: int(as.Uid), GID: int(as.Gid)}
	}
	return nil
}

// lockState locks the state of the lead while the file is open, if the state is on a volume: a predecessor that still
// runs on another node would write to it too.
func (v *Supervisor) lockState(ctx context.Context) (io.Closer, error) {
	if v.Plan.StateVolume == "" {
		return io.NopCloser(nil), nil
	}
	return v.lockVolume(ctx, filepath.Join(v.stateDir(), fileLock))
}

// lockVolume waits until no other lead uses the volume, and records the user of the volume there.
func (v *Supervisor) lockVolume(ctx context.Context, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, pod.Exit(plan.ExitPrepare, fmt.Errorf("opening the lock of the volume of the state: %w", err))
	}
	if err := v.waitForLock(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	host, _ := os.Hostname() // only for the log of other pods
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(host), 0)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Failed to write to the volume of the state; it may be full")
	}
	return f, nil
}

// lockError explains why a file system does not lock files.
func lockError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EOPNOTSUPP):
		hint = ": the file system does not support flock(2); Lustre needs the mount option flock"
	case errors.Is(err, syscall.ENOLCK):
		hint = ": the file server does not support locks; NFS needs lockd, or version 4"
	}
	return fmt.Errorf("locking the volume of the state, which protects it from a second lead: %w%s", err, hint)
}

// waitForLock locks a file, and logs which pod holds the lock while it waits.
func (v *Supervisor) waitForLock(ctx context.Context, f *os.File) error {
	for logged := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return pod.Exit(plan.ExitPrepare, lockError(err))
		}
		if !logged {
			logged = true
			holder, _ := io.ReadAll(io.LimitReader(f, 256)) // only for the log
			klog.FromContext(ctx).Info("Waiting for another lead that uses the volume of the state", "holder", string(holder))
		}
		if !v.shutdown.Sleep(time.Second) {
			return pod.Exit(plan.ExitStopped, nil)
		}
	}
}
