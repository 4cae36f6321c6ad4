package prepare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// system is the container: its file system and the user of the agent.
type system struct {
	root string
	uid  int
	gid  int
}

func newSystem(root string) system {
	return system{root: root, uid: os.Geteuid(), gid: os.Getegid()}
}

// at returns the path of a file of the container.
func (s system) at(path string) string {
	if s.root == "" {
		return path
	}
	return filepath.Join(s.root, path)
}

// owner is the owner of a file.
type owner struct {
	uid, gid int
}

// mkdir makes a directory with its parents, or uses an existing one, and sets its owner and mode if the agent may do
// that. A missing permission shows when the directory is used.
func (s system) mkdir(path string, o owner, mode fs.FileMode) error {
	if err := os.MkdirAll(s.at(path), 0o755); err != nil {
		return err
	}
	if err := os.Chown(s.at(path), o.uid, o.gid); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err := os.Chmod(s.at(path), mode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// write writes a file atomically, in a directory that it makes if necessary.
func (s system) write(path string, content []byte, o owner, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(s.at(path)), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(s.at(path), content, mode, &atomicfile.Owner{UID: o.uid, GID: o.gid})
}

// read reads a file of the container.
func (s system) read(path string) ([]byte, error) {
	return os.ReadFile(s.at(path))
}

// executable reports whether a path is a program.
func (s system) executable(path string) bool {
	info, err := os.Stat(s.at(path))
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// isDir reports whether a path is a directory.
func (s system) isDir(path string) bool {
	info, err := os.Stat(s.at(path))
	return err == nil && info.IsDir()
}

// commandTimeout limits a command that prepares the pod.
const commandTimeout = time.Minute

// output runs a program of the container and returns its output.
func (i *Instance) output(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	sys := newSystem(i.root)
	cmd := exec.CommandContext(ctx, sys.at(args[0]), args[1:]...)
	cmd.Env = i.Env
	cmd.Dir = sys.at("/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.Credential, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(errs.String()); text != "" {
			return "", fmt.Errorf("%w: %s", err, text)
		}
		return "", err
	}
	return out.String(), nil
}

// source returns the path of a file that the controller mounts into the pod.
func source(dir, name string) string {
	return filepath.Join(dir, name)
}

// brokerTOML reads the configuration from the controller.
func (s system) brokerTOML() ([]byte, error) {
	return s.read(source(plan.ConfigDir, plan.FileBrokerTOML))
}

// writable reports whether a path is a directory in which the agent can create files.
func (s system) writable(path string) bool {
	return s.isDir(path) && unix.Access(s.at(path), unix.W_OK|unix.X_OK) == nil
}

// appendLine appends a line to an existing file.
func (s system) appendLine(path, line string) error {
	f, err := os.OpenFile(s.at(path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err = f.WriteString(line + "\n"); err != nil {
		return err
	}
	return f.Close()
}

// rewrite replaces the content of an existing file, and keeps its owner and mode.
func (s system) rewrite(path, content string) error {
	info, err := os.Stat(s.at(path))
	if err != nil {
		return err
	}
	o := owner{s.uid, s.gid}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		o = owner{int(stat.Uid), int(stat.Gid)}
	}
	return s.write(path, []byte(content), o, info.Mode().Perm())
}

// mayBecomeAnother reports whether the agent can start processes as another user, change the owner of files, and signal
// those processes. root can, unless the container drops its capabilities.
func (s system) mayBecomeAnother() bool {
	return s.uid == 0 && len(s.lacksCapabilities()) == 0
}

// capability is one of capabilities(7).
type capability struct {
	bit  int
	name string
}

// neededCapabilities returns the capabilities with which root can run Flux as another user.
func neededCapabilities() []capability {
	return []capability{
		{unix.CAP_CHOWN, "CHOWN"}, {unix.CAP_DAC_OVERRIDE, "DAC_OVERRIDE"}, {unix.CAP_FOWNER, "FOWNER"},
		{unix.CAP_KILL, "KILL"}, {unix.CAP_SETGID, "SETGID"}, {unix.CAP_SETUID, "SETUID"},
	}
}

// lacksCapabilities returns the capabilities of neededCapabilities that the agent does not have.
func (s system) lacksCapabilities() []string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	caps, err := parseCapabilities(status)
	if err != nil {
		return nil
	}
	return lacking(caps)
}

func lacking(caps uint64) []string {
	var out []string
	for _, c := range neededCapabilities() {
		if caps&(1<<c.bit) == 0 {
			out = append(out, c.name)
		}
	}
	return out
}

// parseCapabilities returns the effective capabilities in proc_pid_status(5).
func parseCapabilities(status []byte) (uint64, error) {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("CapEff:")); ok {
			return strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		}
	}
	return 0, errors.New("no CapEff line")
}
