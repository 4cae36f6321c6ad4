package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Find reports whether a node with its state in a directory runs, and returns its first process.
func Find(dir string) (pid int, found bool, err error) {
	content, err := os.ReadFile(filepath.Join(dir, pidFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("looking for a node: %w", err)
	}
	pid, err = strconv.Atoi(string(content))
	if err != nil {
		return 0, false, fmt.Errorf("looking for a node in %s: %w", dir, err)
	}
	return pid, runs(string(content)), nil
}

// Remove ends the node that has its state in a directory, if there is one, and removes the directory. It is for
// detached nodes, whose starting process has ended.
func Remove(ctx context.Context, dir string) error {
	pid, found, err := Find(dir)
	if err != nil || pid == 0 {
		return err
	}
	if found {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending the node's first process: %w", err)
		}
		err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, endPatience, true, func(context.Context) (bool, error) {
			return !runs(strconv.Itoa(pid)), nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the end of the node's first process %d: %w", pid, err)
		}
	}
	if err := removeCgroups(cgroupName(pid)); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the node's directory: %w", err)
	}
	return nil
}
