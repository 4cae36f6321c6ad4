package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// envIndex is where Kubernetes tells a pod of an Indexed Job its completion index.
const envIndex = "JOB_COMPLETION_INDEX"

// runner runs Flux in one pod.
type runner struct {
	*agent
	table    *reaper.Table
	stop     *stop
	instance *prepare.Instance
	// ended says how the broker ended last; nil before it has.
	ended atomic.Pointer[string]
}

// run is the entrypoint of the Flux container: hooks, preparation, the broker until
// its end, hooks.
func (a *agent) run(ctx context.Context) int {
	s := newStop(ctx, time.Duration(a.plan.GracePeriodSeconds)*time.Second, podSignals...)
	table, err := reaper.NewTable(ctx)
	if err != nil {
		return a.fatal(ctx, exit(plan.ExitPrepare, err))
	}
	r := &runner{agent: a, table: table, stop: s}
	alive, err := a.holdAlive(s)
	if err == nil {
		defer alive.Close()
		err = a.clear(markerFinished, markerProgram)
	}
	if err == nil {
		err = r.before(ctx)
	}
	if err != nil {
		code := a.fatal(ctx, err)
		a.finished(ctx)
		return code
	}
	code := r.supervise(ctx)
	a.runPost(ctx, table, s, r.instance.HookEnv)
	a.finished(ctx)
	return code
}

// before does all that comes before the broker.
func (r *runner) before(ctx context.Context) error {
	index, err := r.index()
	if err != nil {
		return exit(plan.ExitPrepare, err)
	}
	lead := index == 0 && !r.plan.Child
	if err := r.hooks(ctx, lead, hook{name: "init", command: r.plan.Hooks.Init, env: r.environ, hidden: r.plan.Logging.Quiet}); err != nil {
		return err
	}
	if err := r.prepare(ctx, index); err != nil {
		return exit(plan.ExitPrepare, err)
	}
	r.serve(ctx)
	return r.hooks(ctx, lead, hooksBefore(r.plan, lead, r.instance.HookEnv)...)
}

// prepare makes the pod ready for its broker.
func (r *runner) prepare(ctx context.Context, index int) error {
	if script := r.plan.Lead.Script; script != "" {
		if err := r.leave(markerScript, r.scriptText(script), 0o755); err != nil {
			return err
		}
	}
	host, err := r.hostname()
	if err != nil {
		return fmt.Errorf("finding the host name: %w", err)
	}
	release := r.table.Hold() // it waits for its own commands
	defer release()
	r.instance, err = prepare.Prepare(ctx, r.plan, prepare.Options{Root: r.prepareRoot(), Index: index, Hostname: host, Environ: r.environ})
	if err != nil {
		return fmt.Errorf("making the pod ready for Flux: %w", err)
	}
	return nil
}

// fileHostname has the host name of what a root other than / stands for.
const fileHostname = "/etc/hostname"

func (a *agent) hostname() (string, error) {
	if a.root == "/" {
		return os.Hostname()
	}
	text, err := os.ReadFile(a.path(fileHostname))
	return strings.TrimSpace(string(text)), err
}

// hooks runs hooks one after the other. A follower's failure gets a code of its
// own, since it doesn't tell about the work.
func (r *runner) hooks(ctx context.Context, lead bool, list ...hook) error {
	for _, h := range list {
		err := r.runHook(ctx, r.table, r.stop, h)
		var e *exitError
		if errors.As(err, &e) && !lead && e.code != plan.ExitStopped {
			return exit(plan.ExitHook, e.err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// index is the completion index of this pod.
func (r *runner) index() (int, error) {
	for _, e := range r.environ {
		if text, ok := cutEnv(e, envIndex); ok {
			index, err := strconv.Atoi(text)
			if err != nil || index < 0 {
				return 0, fmt.Errorf("%s=%q: must be a number from 0 on", envIndex, text)
			}
			return index, nil
		}
	}
	return 0, errors.New(envIndex + " is not set: this is no pod of an Indexed Job")
}

func cutEnv(entry, name string) (string, bool) {
	if len(entry) > len(name) && entry[:len(name)] == name && entry[len(name)] == '=' {
		return entry[len(name)+1:], true
	}
	return "", false
}

// supervise runs the broker until the work of this pod is over, and returns the exit
// code of the pod.
func (r *runner) supervise(ctx context.Context) int {
	begin := time.Now()
	code := 0
	var err error
	if r.instance.Lead {
		code, err = r.lead(ctx)
	} else {
		code, err = r.follower(ctx)
	}
	if err != nil {
		return r.fatal(ctx, err)
	}
	if r.plan.Logging.Timed {
		fmt.Fprintln(r.stderr, "FLUXTIME fluxstart wall time", wallTime(time.Since(begin)))
	}
	return code
}

// finished tells the other containers of the pod that Flux is over.
func (a *agent) finished(ctx context.Context) {
	if err := a.leave(markerFinished, nil, 0o644); err != nil {
		klog.FromContext(ctx).Error(err, "Containers beside Flux may not end")
	}
}
