package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Files in plan.MarkerDir.
const (
	// fileAlive is locked (flock(2)) by the agent of the Flux container while it runs.
	fileAlive = "flux-container"
	// FileFinished exists when the work of the Flux container is done.
	FileFinished = "finished"
	// FileScript is the user's script, commands.script.
	FileScript = "script"
	// DirMetrics has the metrics of the application. It exists in the pod of the lead broker.
	DirMetrics = "metrics"
)

// File returns the path of a pod file.
func (p *Pod) File(name string) string {
	return p.Path(plan.MarkerDir, name)
}

// WriteFile writes a pod file. Readers may be other users.
func (p *Pod) WriteFile(name string, content []byte, mode fs.FileMode) error {
	if err := atomicfile.Write(p.File(name), content, mode, nil); err != nil {
		return fmt.Errorf("writing the pod file %s: %w", name, err)
	}
	return nil
}

// RemoveFiles removes pod files of an earlier run in the same pod.
func (p *Pod) RemoveFiles(names ...string) error {
	for _, name := range names {
		if err := os.Remove(p.File(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the old pod file %s: %w", name, err)
		}
	}
	return nil
}

// LockAlive locks the pod file that shows that the agent of the Flux container runs. The kernel releases the lock when
// the process ends, whatever ends it.
func (p *Pod) LockAlive(s *shutdown.Shutdown) (*os.File, error) {
	f, err := os.OpenFile(p.File(fileAlive), os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, Exit(plan.ExitPrepare, fmt.Errorf("opening the pod file %s: %w", fileAlive, err))
	}
	// A sidecar that reads the state of the lock holds it for a moment.
	for range 20 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return f, nil
		}
		if !s.Sleep(100 * time.Millisecond) {
			break
		}
	}
	f.Close()
	return nil, Exit(plan.ExitPrepare, fmt.Errorf("locking the pod file %s: is another agent running in this pod? %w", fileAlive, err))
}

// FluxContainer reports whether the agent of the Flux container has started, and whether it is running.
func (p *Pod) FluxContainer() (started, running bool) {
	f, err := os.Open(p.File(fileAlive))
	if err != nil {
		return false, false
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	return true, errors.Is(err, syscall.EWOULDBLOCK)
}
