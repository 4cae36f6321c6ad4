package prepare

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"k8s.io/klog/v2"
)

// notForPrograms returns directories of the system, which keep their owner even if they are the working directory.
func notForPrograms() []string {
	return []string{"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var"}
}

// workingDirectory gives the working directory and its contents to the broker's user, if root starts the broker as that
// user. Documents for flux-operator expect to write there.
func (i *Instance) workingDirectory(ctx context.Context, sys system, dir string) {
	if i.Credential == nil || !i.plan.System || dir == "" || slices.Contains(notForPrograms(), filepath.Clean(dir)) {
		return
	}
	o, failed := i.owner(), 0
	err := filepath.WalkDir(sys.at(dir), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // it was removed
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != o.uid {
			if err := os.Lchown(name, o.uid, -1); err != nil {
				failed++
			}
		}
		return nil
	})
	if err != nil || failed > 0 {
		klog.FromContext(ctx).Info("Failed to give all of the working directory to the user of the broker", "directory", dir, "user", i.User, "files", failed, "error", err)
	}
}
