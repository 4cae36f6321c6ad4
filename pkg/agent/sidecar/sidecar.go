// Package sidecar runs the command of a container beside Flux, and stops it when Flux has ended. It learns the state
// of Flux from pod files only, and must not end earlier than Flux.
package sidecar

import (
	"context"
	"fmt"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/hooks"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

const (
	// pollInterval is how often a sidecar reads the state of the Flux container.
	pollInterval = 500 * time.Millisecond
	// stopInterval is how often it does while the pod stops.
	stopInterval = 50 * time.Millisecond
	// lostTimeout is how long the Flux container may be down, for example while it restarts, before its sidecars end.
	lostTimeout = 30 * time.Second
	// killTimeout is how long a sidecar waits at its end for killed processes.
	killTimeout = 500 * time.Millisecond
)

// Run runs the sidecar of a container, and returns the exit code of the container. Only the Flux container decides how
// the pod ends: the exit code of a sidecar is logged and is the termination message, and the container ends with 0,
// except where Kubernetes restarts containers that fail.
func Run(ctx context.Context, p *pod.Pod, s *shutdown.Shutdown, name string) (int, error) {
	code, err := run(ctx, p, s, name)
	if p.Plan.Restarts && !pod.Exists(p.File(pod.FileFinished)) {
		return code, err
	}
	if err != nil {
		code = pod.ExitCode(err)
	}
	if code == 0 || err == nil && s.Requested() {
		return 0, nil
	}
	klog.FromContext(ctx).Error(err, "The sidecar failed", "container", name, "exitCode", code)
	p.TerminationMessage(plan.SidecarMessage(code, err))
	return 0, nil
}

func run(ctx context.Context, p *pod.Pod, s *shutdown.Shutdown, name string) (int, error) {
	config := p.Plan.Sidecar(name)
	if config == nil {
		return 0, pod.Exit(plan.ExitPrepare, fmt.Errorf("the plan has no container %q", name))
	}
	table, err := reaper.NewTable(ctx)
	if err != nil {
		return 0, pod.Exit(plan.ExitPrepare, err)
	}
	defer table.KillAdopted(killTimeout)
	r := &runner{Pod: p, table: table, shutdown: s}
	return r.run(ctx, config)
}

type runner struct {
	*pod.Pod
	table    *reaper.Table
	shutdown *shutdown.Shutdown
}

func (r *runner) run(ctx context.Context, config *plan.Sidecar) (int, error) {
	run := hooks.Runner{Pod: r.Pod, Container: config.Name, Table: r.table, Shutdown: r.shutdown}
	variables := prepare.ScriptVariables(r.Plan)
	for _, h := range []hooks.Hook{
		{Name: "init", Command: config.Init, Variables: variables},
		{Name: "servicePre", Command: config.ServicePre, Variables: variables, Strict: r.Plan.Logging.Strict},
	} {
		if err := run.Run(ctx, h); err != nil {
			return 0, err
		}
	}
	ended := r.watch(ctx)
	if config.WaitSocket && !r.waitForSocket(ended) {
		return r.codeAtEnd(), nil
	}
	words, err := r.words(config)
	if err != nil {
		return 0, pod.Exit(plan.ExitPrepare, err)
	}
	code, err := r.program(ctx, words, ended)
	if config.Post != "" {
		run.RunPost(ctx, hooks.Hook{Name: "post", Command: config.Post, Variables: variables})
	}
	return code, err
}

func (r *runner) words(config *plan.Sidecar) ([]string, error) {
	if config.Script == "" {
		return shellsplit.SidecarCommand(config.Command), nil
	}
	name := pod.FileScript + "-" + config.Name
	if err := r.WriteFile(name, shellsplit.Script(config.Script), 0o755); err != nil {
		return nil, err
	}
	return []string{r.File(name)}, nil
}

// program runs the program of the sidecar. If it ends by itself, so does the container. When Flux has ended the program
// is stopped, which is not a failure.
func (r *runner) program(ctx context.Context, words []string, ended <-chan struct{}) (int, error) {
	file, err := r.LookPath(words[0])
	if err != nil {
		return 0, pod.Exit(hooks.ExitNotStarted(err), fmt.Errorf("starting the command of the container: %w", err))
	}
	p, err := r.table.Start(reaper.Command{
		Path: file, Args: words[1:], Env: r.Environ, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		Group: !pod.IsTerminal(r.Stdin), // a separate process group could not read from a terminal
	})
	if err != nil {
		return 0, pod.Exit(hooks.ExitNotStarted(err), err)
	}
	r.shutdown.Forward(p.Forward)
	select {
	case <-p.Done():
		return p.Status().Code(), nil
	case <-ended:
	}
	p.Stop(ctx, min(r.shutdown.Grace(), r.shutdown.Remaining(r.shutdown.Reserve()/4)))
	return r.codeAtEnd(), nil
}

// codeAtEnd returns the exit code of a sidecar that was stopped.
func (r *runner) codeAtEnd() int {
	if r.shutdown.Requested() {
		return plan.ExitStopped
	}
	return 0
}

// watch returns a channel that is closed when Flux has ended. While the pod stops, that is at the latest when half of
// the reserve of the grace period remains, so that the sidecar has time to stop too.
func (r *runner) watch(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var lost time.Time
		for {
			if !r.shutdown.Sleep(pollInterval) {
				r.waitForFlux()
				return
			}
			if pod.Exists(r.File(pod.FileFinished)) {
				return
			}
			started, running := r.FluxContainer()
			switch {
			case !started || running || r.Plan.Restarts:
				lost = time.Time{}
			case lost.IsZero():
				lost = time.Now()
			case time.Since(lost) > lostTimeout:
				klog.FromContext(ctx).Info("The Flux container does not run any more; this container ends")
				return
			}
		}
	}()
	return ended
}

// waitForFlux waits for the end of Flux while the pod stops.
func (r *runner) waitForFlux() {
	ticker := time.NewTicker(stopInterval)
	defer ticker.Stop()
	timer := time.NewTimer(r.shutdown.Remaining(r.shutdown.Reserve() / 2))
	defer timer.Stop()
	for !pod.Exists(r.File(pod.FileFinished)) {
		if _, running := r.FluxContainer(); !running {
			return
		}
		select {
		case <-ticker.C:
		case <-timer.C:
			return
		}
	}
}

// waitForSocket waits for the broker's socket, and reports whether it appeared before Flux ended.
func (r *runner) waitForSocket(ended <-chan struct{}) bool {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if pod.Exists(r.Path(r.Plan.Files.Socket)) {
			return true
		}
		select {
		case <-ended:
			return false
		case <-ticker.C:
		}
	}
}
