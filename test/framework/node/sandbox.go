package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"minicluster.internal/operator/test/framework/cluster/process"
)

const (
	// pidFile in a node's directory contains the ID of the process that holds the node's namespaces.
	pidFile = "init.pid"

	endPatience = 2 * time.Minute
)

// sandbox is the namespaces of a node, and the process that holds them.
type sandbox struct {
	init *process.Process
	// namespaces are open files of /proc/PID/ns.
	namespaces []namespace
}

type namespace struct {
	file *os.File
	kind int
}

// namespaces lists the namespaces of a node. That of mounts comes last, because files that are opened after it are
// opened inside.
func namespaces() []struct {
	name string
	kind int
} {
	return []struct {
		name string
		kind int
	}{
		{"net", unix.CLONE_NEWNET},
		{"ipc", unix.CLONE_NEWIPC},
		{"uts", unix.CLONE_NEWUTS},
		{"pid", unix.CLONE_NEWPID},
		{"mnt", unix.CLONE_NEWNS},
	}
}

// startSandbox returns the sandbox even if it fails.
func startSandbox(ctx context.Context, program, dir string, detached bool) (*sandbox, error) {
	attributes := &syscall.SysProcAttr{}
	for _, n := range namespaces() {
		attributes.Cloneflags |= uintptr(n.kind)
	}
	init, err := process.Start(process.Command{
		Name:       "nodeinit",
		Path:       program,
		Args:       []string{"--address=" + addressWithMask, "--service-cidr=" + serviceCIDR},
		Log:        filepath.Join(dir, "nodeinit.log"),
		Lines:      true,
		Detached:   detached,
		Attributes: attributes,
	})
	if err != nil {
		return nil, fmt.Errorf("making namespaces: %w", err)
	}
	s := &sandbox{init: init}
	if err := os.WriteFile(filepath.Join(dir, pidFile), []byte(strconv.Itoa(s.pid())), 0o600); err != nil {
		return s, fmt.Errorf("recording the node's first process: %w", err)
	}
	if err := init.WaitForLine(ctx, readyLine); err != nil {
		return s, fmt.Errorf("making namespaces: %w", err)
	}
	for _, n := range namespaces() {
		file, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", s.pid(), n.name))
		if err != nil {
			return s, fmt.Errorf("opening a namespace: %w", err)
		}
		s.namespaces = append(s.namespaces, namespace{file, n.kind})
	}
	return s, nil
}

func (s *sandbox) pid() int { return s.init.PID() }

// enter moves the calling thread, which must be locked and never be used for anything else, into the namespaces.
// (That of process IDs applies only to its children.)
func (s *sandbox) enter() error {
	// Threads share their root and working directory; a thread has to unshare these before it can change its mounts.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unsharing the file system context: %w", err)
	}
	for _, n := range s.namespaces {
		if err := unix.Setns(int(n.file.Fd()), n.kind); err != nil {
			return fmt.Errorf("joining namespace %s: %w", n.file.Name(), err)
		}
	}
	return nil
}

// stop ends every process of the node: the kernel does so when the first one ends.
func (s *sandbox) stop() error {
	if err := syscall.Kill(s.pid(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending the node's first process: %w", err)
	}
	select {
	case <-s.init.Ended():
	case <-time.After(endPatience):
		return fmt.Errorf("ending the node's processes: process %d is still there", s.pid())
	}
	for _, n := range s.namespaces {
		n.file.Close()
	}
	return removeCgroups(cgroupName(s.pid()))
}
