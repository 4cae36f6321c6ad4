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

// hidden are directories that nodes have for themselves, so that nothing there can be seen from inside. The list is in
// nodeinit, too.
func hidden() []string { return []string{"/run", "/var/run", "/var/lib", "/var/log"} }

// prepareDir decides on the directory of the node's state.
func (n *Node) prepareDir() error {
	n.dir = n.options.Cluster.Dir
	if n.dir == "" {
		dir, err := os.MkdirTemp("", dirPrefix)
		if err != nil {
			return fmt.Errorf("making a directory for the node: %w", err)
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
			return fmt.Errorf("a node cannot have its directory in %s: it could not be seen from inside", place)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the node's directory: %w", err)
	}
	return nil
}

// removeLeftovers removes what nodes have left behind whose process was killed before it could stop them. Their own
// processes are gone: the kernel saw to that.
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
		fmt.Fprintln(log, "removing what former nodes have left behind:", err)
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
