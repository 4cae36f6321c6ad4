// Package hooks runs the user's shell commands around Flux: one shell for each, as if one shell ran all of them. What
// a hook exports, the directory to which it changes, its umask and its limits of resources reach the next hook and
// everything that runs after it. With bash, other variables and functions reach the next hooks. The text of a hook must
// reach the shell unchanged: do not paste it into a script.
package hooks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Hook is a shell command.
type Hook struct {
	// Name of the hook in logs.
	Name string
	// Command is run by a shell; an empty one does nothing.
	Command string
	// Variables are set for the command, and not exported.
	Variables map[string]string
	// Strict: a failure ends the pod, and so does a failure of any command in the hook that a shell detects with -e.
	Strict bool
	// Hidden: the output is discarded.
	Hidden bool
}

// Runner runs hooks.
type Runner struct {
	// Pod is the container.
	*pod.Pod
	// Container is the name of a container beside Flux, "" for the Flux container.
	Container string
	// Table starts the shells.
	Table *reaper.Table
	// Shutdown stops them.
	Shutdown *shutdown.Shutdown

	// started: a hook has run.
	started bool
}

// BeforeBroker returns the hooks that run between the preparation of the pod and the start of the broker, in order.
func BeforeBroker(p *plan.Plan, lead bool, variables map[string]string) []Hook {
	list := []Hook{{Name: "preCommand", Command: p.Hooks.PreCommand}, {Name: "pre", Command: p.Hooks.Pre}}
	if lead {
		list = append(list, Hook{Name: "brokerPre", Command: p.Hooks.BrokerPre})
	} else {
		list = append(list, Hook{Name: "workerPre", Command: p.Hooks.WorkerPre})
	}
	for i := range list {
		list[i].Variables, list[i].Strict, list[i].Hidden = variables, p.Logging.Strict, p.Logging.Quiet
	}
	return list
}

// Run runs a hook. It returns an error if a strict hook failed or if the pod was asked to stop; it logs other failures.
// The environment of the pod, and the working directory of the agent, are those that the hook leaves.
func (r *Runner) Run(ctx context.Context, h Hook) error {
	if h.Command == "" {
		return nil
	}
	p, err := r.start(h)
	if err != nil {
		return failed(ctx, h, ExitNotStarted(err), err)
	}
	select {
	case <-p.Done():
	case <-r.Shutdown.Done():
		p.Stop(ctx, r.Shutdown.Remaining(r.Shutdown.Reserve()))
		return pod.Exit(plan.ExitStopped, nil)
	}
	r.adopt(ctx, h)
	if status := p.Status(); status.Code() != 0 {
		return failed(ctx, h, status.Code(), fmt.Errorf("it ended with %s", status))
	}
	return nil
}

// file returns the name of the pod file with the text of a hook.
func (r *Runner) file(h Hook) string {
	if r.Container != "" {
		return "hook-" + r.Container + "-" + h.Name
	}
	return "hook-" + h.Name
}

// stateSuffix follows the name of the file of a hook in that of its state.
const stateSuffix = ".state"

func (r *Runner) start(h Hook) (*reaper.Process, error) {
	name := r.file(h)
	if err := r.WriteFile(name, []byte(h.Command), 0o644); err != nil {
		return nil, err
	}
	if err := r.RemoveFiles(name + stateSuffix); err != nil {
		return nil, err
	}
	variables := r.file(Hook{Name: "variables"})
	if !r.started {
		// No variables of an earlier run. Only the user of the container may read those of the hooks.
		if err := r.WriteFile(variables, nil, 0o600); err != nil {
			return nil, err
		}
		r.started = true
	}
	s := script{
		file: r.File(name), save: r.SelfCommand(SaveCommand, r.File(name+stateSuffix)), variables: h.Variables, strict: h.Strict,
		variablesFile: r.File(variables),
	}
	c := reaper.Command{Path: shellsplit.ScriptShell(), Args: s.args(), Env: r.Environ, Stdout: r.Stdout, Stderr: r.Stderr, Group: true}
	if h.Hidden {
		c.Stdout, c.Stderr = nil, nil
	}
	return r.Table.Start(c)
}

// adopt takes over the exported variables and the working directory of a hook.
func (r *Runner) adopt(ctx context.Context, h Hook) {
	left, err := readState(r.File(r.file(h)+stateSuffix), r.Environ)
	if errors.Is(err, fs.ErrNotExist) {
		klog.FromContext(ctx).Info("The hook passes no variables on, because it replaced its shell (exec), or its EXIT trap and called exit", "hook", h.Name)
		return
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "The variables that the hook exported are lost", "hook", h.Name)
		return
	}
	r.Environ = left.environ
	left.process.apply(ctx)
	_ = r.RemoveFiles(r.file(h) + stateSuffix) // secrets may be in it; a next run replaces it otherwise
	if left.dir == "" {
		return
	}
	if err := os.Chdir(left.dir); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to change to the working directory of the hook", "hook", h.Name)
	}
}

func failed(ctx context.Context, h Hook, code int, err error) error {
	if h.Strict {
		return pod.Exit(code, fmt.Errorf("hook %s: %w", h.Name, err))
	}
	klog.FromContext(ctx).Error(err, "Hook failed", "hook", h.Name)
	return nil
}

// ExitNotStarted returns the exit code with which a shell reports a command that it cannot start.
func ExitNotStarted(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return 127
	}
	return 126
}

// RunPost runs the hook after Flux, even while the pod stops, for at most the rest of the grace period. Its failure is
// only logged: the result of the work does not change.
func (r *Runner) RunPost(ctx context.Context, h Hook) {
	if h.Command == "" {
		return
	}
	p, err := r.start(h)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Hook failed", "hook", h.Name)
		return
	}
	<-r.Shutdown.Expired(p.Done(), time.Second)
	select {
	case <-p.Done():
	default:
		klog.FromContext(ctx).Info("Hook exceeds the grace period and is stopped", "hook", h.Name)
		p.Stop(ctx, 500*time.Millisecond)
	}
	if status := p.Status(); status.Code() != 0 {
		klog.FromContext(ctx).Error(nil, "Hook failed", "hook", h.Name, "status", status.String())
	}
}
