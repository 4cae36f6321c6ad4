package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Files in plan.MarkerDir, by which the agents of a pod tell each other how far they
// are.
const (
	// markerAlive is locked (flock(2)) by the agent of the Flux container as long as
	// it lives.
	markerAlive = "flux-container"
	// markerFinished is there when the work of the Flux container is over.
	markerFinished = "finished"
	// markerProgram has the outcome of the initial program.
	markerProgram = "program.json"
	// markerScript is the user's script, commands.script.
	markerScript = "script"
)

// outcome is how the initial program ended.
type outcome struct {
	// Code is its exit code, as a shell tells it.
	Code int `json:"code"`
	// Stopped: it was told to stop before.
	Stopped bool `json:"stopped,omitempty"`
	// Saving: the instance is being saved.
	Saving bool `json:"saving,omitempty"`
}

func (a *agent) marker(name string) string {
	return a.path(plan.MarkerDir, name)
}

// leave writes a marker at once or not at all. Whoever reads it may be another user.
func (a *agent) leave(name string, text []byte, mode os.FileMode) error {
	target := a.marker(name)
	f, err := os.CreateTemp(filepath.Dir(target), "."+name+"-*")
	if err != nil {
		return fmt.Errorf("leaving a marker: %w", err)
	}
	defer os.RemoveAll(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if errClose := f.Close(); err == nil {
		err = errClose
	}
	if err == nil {
		err = os.Rename(f.Name(), target)
	}
	if err != nil {
		return fmt.Errorf("leaving the marker %s: %w", name, err)
	}
	return nil
}

// clear removes markers of an earlier run in the same pod.
func (a *agent) clear(names ...string) error {
	for _, name := range names {
		if err := os.Remove(a.marker(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing an old marker: %w", err)
		}
	}
	return nil
}

func (a *agent) has(name string) bool {
	return exists(a.marker(name))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// recordOutcome keeps how the initial program ended, for the agent that started the
// broker.
func (a *agent) recordOutcome(ctx context.Context, o outcome, saving bool) {
	o.Saving = saving
	text, err := json.Marshal(o)
	if err == nil {
		err = a.leave(markerProgram, text, 0o644)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "The exit code of the program is lost")
		a.terminationMessage(fmt.Sprintf("the exit code of the program, %d, is lost: %v", o.Code, err))
	}
}

// readOutcome is how the initial program ended, nil as long as it has not.
func (a *agent) readOutcome() *outcome {
	text, err := os.ReadFile(a.marker(markerProgram))
	if err != nil {
		return nil
	}
	var o outcome
	if json.Unmarshal(text, &o) != nil {
		return nil
	}
	return &o
}

// holdAlive locks the marker that shows that this container's agent lives. The
// kernel unlocks it when the process ends, however that happens.
func (a *agent) holdAlive(s *stop) (*os.File, error) {
	f, err := os.OpenFile(a.marker(markerAlive), os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, exit(plan.ExitPrepare, fmt.Errorf("leaving a marker: %w", err))
	}
	// A sidecar that looks at it has it locked for a moment.
	for range 20 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return f, nil
		}
		if !s.Sleep(100 * time.Millisecond) {
			break
		}
	}
	f.Close()
	return nil, exit(plan.ExitPrepare, fmt.Errorf("locking the marker %s: is another agent running in this pod? %w", markerAlive, err))
}

// fluxContainer tells whether the agent of the Flux container has started, and
// whether it lives.
func (a *agent) fluxContainer() (started, lives bool) {
	f, err := os.Open(a.marker(markerAlive))
	if err != nil {
		return false, false
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	return true, errors.Is(err, syscall.EWOULDBLOCK)
}
