package agent

import (
	"fmt"
	"os"
	"path/filepath"

	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// install copies this program to the directory that the containers of the pod share, and creates the directories
// there that they write to. The containers may run as any user.
func (a *agent) install() error {
	target := a.Path(plan.AgentPath)
	dirs := map[string]os.FileMode{
		filepath.Dir(target): 0o755,
		// Sticky: no user can remove the files of another user.
		a.Path(plan.MarkerDir): 0o777 | os.ModeSticky,
	}
	for _, m := range plan.SystemMounts() {
		dirs[a.Path(plan.SharedDir, m.SubPath)] = 0o777
	}
	// Jobs of earlier releases mount it at plan.CurveDir.
	dirs[a.Path(plan.SharedDir, "system/curve")] = 0o777
	for dir, mode := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("creating a shared directory: %w", err)
		}
		if err := os.Chmod(dir, mode); err != nil { // independent of the umask
			return fmt.Errorf("setting the mode of a shared directory: %w", err)
		}
	}
	if err := atomicfile.Copy(a.Program, target, 0o755); err != nil {
		return fmt.Errorf("installing the agent: %w", err)
	}
	return nil
}
