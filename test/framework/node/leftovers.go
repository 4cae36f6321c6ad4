package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	dirPrefix = "minicluster-node-"
	initName  = "nodeinit"
)

// hidden are directories that each node has separately, so that their content on this machine is invisible inside.
// nodeinit has the same list.
func hidden() []string { return []string{"/run", "/var/run", "/var/lib", "/var/log"} }

// prepareDir determines the directory of the node's state.
func (n *Node) prepareDir() error {
	n.dir = n.options.Cluster.Dir
	if n.dir == "" {
		dir, err := os.MkdirTemp("", dirPrefix)
		if err != nil {
			return fmt.Errorf("creating a directory for the node: %w", err)
		}
		n.dir, n.temporary = dir, true
	}
	dir, err := filepath.Abs(n.dir)
	if err != nil {
		return fmt.Errorf("finding the node's directory: %w", err)
	}
	n.dir = dir
	for _, place := range hidden() {
		if strings.HasPrefix(dir+"/", place+"/") {
			return fmt.Errorf("a node cannot have its directory in %s: it would not be visible inside", place)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("creating the node's directory: %w", err)
	}
	return nil
}

// removeLeftovers removes the remains of nodes whose process was killed before it could stop them. The kernel has
// ended their processes.
func removeLeftovers(log io.Writer) {
	var errs []error
	trees, err := hierarchies()
	errs = append(errs, err)
	var dead []string
	for _, tree := range trees {
		dirs, err := filepath.Glob(filepath.Join(tree, cgroupPrefix+"*"))
		errs = append(errs, err)
		for _, dir := range dirs {
			if name := filepath.Base(dir); !runs(strings.TrimPrefix(name, cgroupPrefix)) && !slices.Contains(dead, name) {
				dead = append(dead, name)
			}
		}
	}
	for _, name := range dead {
		errs = append(errs, removeCgroups(name))
	}
	files, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*", pidFile))
	errs = append(errs, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err == nil && !runs(string(content)) {
			errs = append(errs, os.RemoveAll(filepath.Dir(file)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(log, "removing remains of former nodes:", err)
	}
}

// runs reports whether a process is the first one of a node.
func runs(pid string) bool {
	if _, err := strconv.Atoi(pid); err != nil {
		return false
	}
	name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	return err == nil && strings.TrimSpace(string(name)) == initName
}
