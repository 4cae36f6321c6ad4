package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// install copies this program to the directory that the containers of the pod
// share, and makes the directories in it that they write to. The containers may run
// as any user.
func (a *agent) install() error {
	target := a.path(plan.AgentPath)
	dirs := map[string]os.FileMode{
		filepath.Dir(target): 0o755,
		// Sticky: a user doesn't remove what another has left there.
		a.path(plan.MarkerDir): 0o777 | os.ModeSticky,
	}
	for _, m := range plan.SystemMounts() {
		dirs[a.path(plan.SharedDir, m.SubPath)] = 0o777
	}
	for dir, mode := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making a shared directory: %w", err)
		}
		if err := os.Chmod(dir, mode); err != nil { // whatever the umask is
			return fmt.Errorf("opening a shared directory to all containers: %w", err)
		}
	}
	if err := copyFile(a.program, target, 0o755); err != nil {
		return fmt.Errorf("installing the agent: %w", err)
	}
	return nil
}

// copyFile copies a file, under another name until it is whole.
func copyFile(from, to string, mode os.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out.Name())
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(mode)
	}
	if errClose := out.Close(); err == nil {
		err = errClose
	}
	if err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
