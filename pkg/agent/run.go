package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/hooks"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agent/supervise"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// killTimeout is how long the agent waits at its end for killed processes.
const killTimeout = 500 * time.Millisecond

// runner runs Flux in one pod.
type runner struct {
	*agent
	table    *reaper.Table
	hooks    hooks.Runner
	instance *prepare.Instance
	broker   *supervise.Supervisor
}

// run is the entrypoint of the Flux container: hooks, preparation, the broker until its end, hooks.
func (a *agent) run(ctx context.Context) int {
	s := a.shutdown
	go a.reportStop(ctx)
	table, err := reaper.NewTable(ctx)
	if err != nil {
		return a.fatal(ctx, pod.Exit(plan.ExitPrepare, err))
	}
	r := &runner{agent: a, table: table, hooks: hooks.Runner{Pod: a.Pod, Table: table, Shutdown: s}}
	defer table.KillAdopted(killTimeout)
	alive, err := a.LockAlive(s)
	if err == nil {
		defer alive.Close()
		err = a.RemoveFiles(pod.FileFinished)
	}
	if err == nil {
		err = r.beforeBroker(ctx)
	}
	if err != nil {
		code := a.fatal(ctx, err)
		a.finished(ctx, code)
		return code
	}
	code := r.supervise(ctx)
	if code == plan.ExitStopped && s.Requested() {
		a.TerminationMessageIfNone(r.broker.Stopped(signalName(s.Signal())))
	}
	r.hooks.RunPost(ctx, hooks.Hook{Name: "post", Command: a.Plan.Hooks.Post, Variables: r.instance.ScriptVariables()})
	a.finished(ctx, code)
	return code
}

// reportStop logs the request to stop when it arrives.
func (a *agent) reportStop(ctx context.Context) {
	s := a.shutdown
	<-s.Done()
	klog.FromContext(ctx).Info("The pod was asked to stop", "signal", signalName(s.Signal()), "gracePeriod", s.Grace(), "reserve", s.Reserve())
}

// signalName returns the name of a signal.
func signalName(sig os.Signal) string {
	number, ok := sig.(syscall.Signal)
	if name := unix.SignalName(number); ok && name != "" {
		return name
	}
	if number == shutdown.SystemdStop {
		return "SIGRTMIN+3"
	}
	return fmt.Sprint(sig)
}

// beforeBroker does everything that comes before the broker.
func (r *runner) beforeBroker(ctx context.Context) error {
	index, err := r.Index()
	if err != nil {
		return pod.Exit(plan.ExitPrepare, err)
	}
	lead := index == 0 && !r.Plan.Child
	init := hooks.Hook{
		Name: "init", Command: r.Plan.Hooks.Init, Variables: prepare.ScriptVariables(r.Plan), Hidden: r.Plan.Logging.Quiet,
	}
	if err := r.runHooks(ctx, lead, init); err != nil {
		return err
	}
	if err := r.prepare(ctx, index); err != nil {
		if r.shutdown.Requested() {
			return pod.Exit(plan.ExitStopped, nil)
		}
		return pod.Exit(prepareCode(err), err)
	}
	r.broker = supervise.New(r.Pod, r.table, r.shutdown, r.instance)
	r.shutdown.Forward(r.broker.Forward)
	r.serve(ctx)
	r.Environ = r.instance.HookEnv
	if err := r.runHooks(ctx, lead, hooks.BeforeBroker(r.Plan, lead, r.instance.ScriptVariables())...); err != nil {
		return err
	}
	return r.adoptHooks(ctx)
}

// adoptHooks prepares the pod again if its hooks changed something, such as the Flux in PATH.
func (r *runner) adoptHooks(ctx context.Context) error {
	defer withUmask(preparationUmask)()
	ctx, cancel := r.shutdown.Context(ctx)
	defer cancel()
	release := r.table.Hold() // package prepare waits for its own commands
	defer release()
	err := r.instance.AdoptHooks(ctx, r.Environ)
	switch {
	case err != nil && r.shutdown.Requested():
		return pod.Exit(plan.ExitStopped, nil)
	case err != nil:
		return pod.Exit(prepareCode(err), fmt.Errorf("preparing the pod for Flux after its hooks: %w", err))
	}
	return nil
}

// prepareCode returns the exit code for an error of the preparation: a final one if the error would also occur in
// another pod.
func prepareCode(err error) int {
	var spec *prepare.SpecError
	if errors.As(err, &spec) {
		return plan.ExitSpec
	}
	return plan.ExitPrepare
}

// prepare prepares the pod for its broker.
func (r *runner) prepare(ctx context.Context, index int) error {
	defer withUmask(preparationUmask)()
	if script := r.Plan.Lead.Script; script != "" {
		if err := r.WriteFile(pod.FileScript, shellsplit.Script(script), 0o755); err != nil {
			return err
		}
	}
	host, err := r.Hostname()
	if err != nil {
		return fmt.Errorf("finding the host name: %w", err)
	}
	ctx, cancel := r.shutdown.Context(ctx)
	defer cancel()
	release := r.table.Hold() // package prepare waits for its own commands
	defer release()
	o := prepare.Options{Root: r.PrepareRoot(), Index: index, Hostname: host, Environ: r.Environ}
	if r.Root == "/" {
		o.Path = os.Getenv("PATH")
		o.Dir, _ = os.Getwd() // the directory was removed
	}
	r.instance, err = prepare.Prepare(ctx, r.Plan, o)
	if err != nil {
		return fmt.Errorf("preparing the pod for Flux: %w", err)
	}
	return nil
}

// runHooks runs hooks one after the other. The failure of a follower has a separate exit code, because it does not
// say anything about the work.
func (r *runner) runHooks(ctx context.Context, lead bool, list ...hooks.Hook) error {
	for _, h := range list {
		err := r.hooks.Run(ctx, h)
		var e *pod.ExitError
		if errors.As(err, &e) && !lead && e.Code != plan.ExitStopped {
			return pod.Exit(plan.ExitHook, e.Err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// supervise runs the broker until the work of this pod is done, and returns the exit code of the pod.
func (r *runner) supervise(ctx context.Context) int {
	begin := time.Now()
	code, err := r.broker.Run(ctx)
	if err != nil {
		return r.fatal(ctx, err)
	}
	if r.Plan.Logging.Timed {
		fmt.Fprintln(r.Stderr, "FLUXTIME fluxstart wall time", pod.WallTime(time.Since(begin)))
	}
	return code
}

// finished signals to the other containers of the pod that Flux has ended, unless Kubernetes restarts this container.
func (a *agent) finished(ctx context.Context, code int) {
	if a.Plan.Restarts && code != 0 && !a.shutdown.Requested() {
		return
	}
	if err := a.WriteFile(pod.FileFinished, nil, 0o644); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to signal the end of Flux; containers beside Flux may not end")
	}
}

// preparationUmask is the umask while directories for all users of the pod are made, whatever a hook has set.
const preparationUmask = 0o022

// withUmask sets the umask, and returns a function that restores it.
func withUmask(mask int) (restore func()) {
	before := syscall.Umask(mask)
	return func() { syscall.Umask(before) }
}
