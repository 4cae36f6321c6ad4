package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	cgroupRoot   = "/sys/fs/cgroup"
	cgroupPrefix = "minicluster-node-"
	// cgroupPatience is the timeout for the end of killed processes.
	cgroupPatience = 2 * time.Minute
)

// cgroupName is the prefix of the cgroup for the pods' cgroups: two kubelets with the same one would remove each
// other's. The process ID shows later whether the node still exists.
func cgroupName(pid int) string { return cgroupPrefix + strconv.Itoa(pid) }

// hierarchies are the mounted trees of cgroups: one in version 2, one for each controller in version 1.
func hierarchies() ([]string, error) {
	if unified() {
		return []string{cgroupRoot}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, fmt.Errorf("looking for cgroups: %w", err)
	}
	var trees []string
	for _, entry := range entries {
		tree := filepath.Join(cgroupRoot, entry.Name())
		// Some controllers also have links to their tree.
		if _, err := os.Stat(filepath.Join(tree, "cgroup.procs")); err == nil && entry.IsDir() {
			trees = append(trees, tree)
		}
	}
	return trees, nil
}

func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// makeCgroups creates the cgroup for the pods' cgroups, which a kubelet expects.
func (s *sandbox) makeCgroups() error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for _, tree := range trees {
		dir := filepath.Join(tree, cgroupName(s.pid()))
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making a cgroup: %w", err)
		}
		if err := fill(tree, dir); err != nil {
			return fmt.Errorf("preparing cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// fill sets values that a new cgroup does not inherit: in version 1, a cpuset begins without CPUs; in version 2,
// controllers must be enabled for children.
func fill(tree, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		if unified() {
			break
		}
		content, err := os.ReadFile(filepath.Join(tree, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	if !unified() {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(tree, "cgroup.controllers"))
	if err != nil {
		return err
	}
	var enable []string
	for _, controller := range strings.Fields(string(content)) {
		enable = append(enable, "+"+controller)
	}
	for _, level := range []string{tree, dir} {
		if err := os.WriteFile(filepath.Join(level, "cgroup.subtree_control"), []byte(strings.Join(enable, " ")), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes a cgroup and all below it, whose processes have ended or are about to.
func removeCgroups(name string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for _, tree := range trees {
		var last error
		err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, cgroupPatience, true, func(context.Context) (bool, error) {
			last = removeTree(filepath.Join(tree, name))
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("removing a cgroup: %w", errors.Join(err, last))
		}
	}
	return nil
}

// removeTree removes folders from the inside out. Their files disappear with them, and cannot be removed separately.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
	return nil
}
