package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// shell runs hooks and commands that are more than plain words.
const shell = "/bin/sh"

// hookPatience is how long a hook has to end when the pod is told to stop.
const hookPatience = 5 * time.Second

// hook is a shell command around Flux.
type hook struct {
	name, command string
	env           []string
	// strict: a failure ends the pod, and so does a failure of any of its commands
	// that a shell notices with -e.
	strict bool
	// hidden: its output does not belong into the log.
	hidden bool
}

// hooksBefore are the hooks before Flux but the first, in their order.
func hooksBefore(p *plan.Plan, lead bool, env []string) []hook {
	list := []hook{{name: "preCommand", command: p.Hooks.PreCommand}, {name: "pre", command: p.Hooks.Pre}}
	if lead {
		list = append(list, hook{name: "brokerPre", command: p.Hooks.BrokerPre})
	} else {
		list = append(list, hook{name: "workerPre", command: p.Hooks.WorkerPre})
	}
	for i := range list {
		list[i].env, list[i].strict, list[i].hidden = env, p.Logging.Strict, p.Logging.Quiet
	}
	return list
}

// runHook runs a hook in a shell of its own. It returns an error for a strict one
// that failed, and when the pod was told to stop; other failures are logged.
func (a *agent) runHook(ctx context.Context, table *reaper.Table, s *stop, h hook) error {
	if h.command == "" {
		return nil
	}
	args := []string{"-c", h.command}
	if h.strict {
		args = append([]string{"-e"}, args...)
	}
	c := reaper.Command{Path: shell, Args: args, Env: h.env, Stdout: a.stdout, Stderr: a.stderr}
	if h.hidden {
		c.Stdout, c.Stderr = nil, nil
	}
	p, err := table.Start(c)
	if err != nil {
		return a.hookFailed(ctx, h, exitNotStarted(err), err)
	}
	select {
	case <-p.Done():
	case <-s.Done:
		p.Stop(ctx, min(hookPatience, s.Left(0)))
		return exit(plan.ExitStopped, nil)
	}
	if status := p.Status(); status.Code() != 0 {
		return a.hookFailed(ctx, h, status.Code(), fmt.Errorf("it ended with %s", status))
	}
	return nil
}

func (a *agent) hookFailed(ctx context.Context, h hook, code int, err error) error {
	if h.strict {
		return exit(code, fmt.Errorf("hook %s: %w", h.name, err))
	}
	klog.FromContext(ctx).Error(err, "A hook failed", "hook", h.name)
	return nil
}

// exitNotStarted is the exit code of a shell for a command that it can't start.
func exitNotStarted(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return 127
	}
	return 126
}

// runPost runs the hook after Flux, also when the pod is being stopped, in the time
// that is left then. Nothing but the log tells how it ended: the result of the work
// stands.
func (a *agent) runPost(ctx context.Context, table *reaper.Table, s *stop, env []string) {
	command := a.plan.Hooks.Post
	if command == "" {
		return
	}
	p, err := table.Start(reaper.Command{Path: shell, Args: []string{"-c", command}, Env: env, Stdout: a.stdout, Stderr: a.stderr})
	if err != nil {
		klog.FromContext(ctx).Error(err, "A hook failed", "hook", "post")
		return
	}
	<-s.done(p.Done(), time.Second)
	select {
	case <-p.Done():
	default:
		klog.FromContext(ctx).Info("A hook takes longer than the pod has left", "hook", "post")
		p.Signal(syscall.SIGTERM)
		p.Stop(ctx, 500*time.Millisecond)
	}
	if status := p.Status(); status.Code() != 0 {
		klog.FromContext(ctx).Error(nil, "A hook failed", "hook", "post", "status", status.String())
	}
}
