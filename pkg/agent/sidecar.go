package agent

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

const (
	// sidecarPoll is how often a sidecar looks at what Flux does.
	sidecarPoll = 500 * time.Millisecond
	// sidecarPatience is how long a sidecar's program has to end.
	sidecarPatience = 5 * time.Second
	// lostPatience is how long the Flux container may be gone, and start again, until
	// its sidecars end too.
	lostPatience = 30 * time.Second
)

// sidecar runs the command of a container beside Flux, and ends it with Flux.
func (a *agent) sidecar(ctx context.Context, name string) int {
	car := a.plan.Sidecar(name)
	if car == nil {
		return a.fatal(ctx, exit(plan.ExitPrepare, fmt.Errorf("the plan has no container %q", name)))
	}
	s := newStop(ctx, time.Duration(a.plan.GracePeriodSeconds)*time.Second, podSignals...)
	table, err := reaper.NewTable(ctx)
	if err != nil {
		return a.fatal(ctx, exit(plan.ExitPrepare, err))
	}
	w := &sidecarRun{agent: a, table: table, stop: s}
	code, err := w.run(ctx, car)
	if err != nil {
		return a.fatal(ctx, err)
	}
	return code
}

type sidecarRun struct {
	*agent
	table *reaper.Table
	stop  *stop
}

func (w *sidecarRun) run(ctx context.Context, car *plan.Sidecar) (int, error) {
	strict := w.plan.Logging.Strict
	for _, h := range []hook{
		{name: "init", command: car.Init, env: w.environ},
		{name: "servicePre", command: car.ServicePre, env: w.environ, strict: strict},
	} {
		if err := w.runHook(ctx, w.table, w.stop, h); err != nil {
			return 0, err
		}
	}
	over := w.watch(ctx)
	if car.WaitSocket && !w.waitSocket(over) {
		return w.codeAtEnd(), nil
	}
	words, err := w.words(car)
	if err != nil {
		return 0, exit(plan.ExitPrepare, err)
	}
	code, err := w.program(ctx, words, over)
	if car.Post != "" {
		if err := w.runHook(ctx, w.table, &stop{Done: make(chan struct{})}, hook{name: "post", command: car.Post, env: w.environ}); err != nil {
			return 0, err
		}
	}
	return code, err
}

func (w *sidecarRun) words(car *plan.Sidecar) ([]string, error) {
	if car.Script == "" {
		return shellWords(car.Command), nil
	}
	name := "script-" + car.Name
	if err := w.leave(name, w.scriptText(car.Script), 0o755); err != nil {
		return nil, err
	}
	return []string{w.marker(name)}, nil
}

// program runs the sidecar's program. Its own end is the container's; when Flux is
// over it is ended, which is no failure.
func (w *sidecarRun) program(ctx context.Context, words []string, over <-chan struct{}) (int, error) {
	file, err := exec.LookPath(words[0])
	if err != nil {
		return 0, exit(exitNotStarted(err), fmt.Errorf("starting the container's command: %w", err))
	}
	p, err := w.table.Start(reaper.Command{
		Path: file, Args: words[1:], Env: w.environ, Stdin: w.stdin, Stdout: w.stdout, Stderr: w.stderr,
	})
	if err != nil {
		return 0, exit(exitNotStarted(err), err)
	}
	select {
	case <-p.Done():
		return p.Status().Code(), nil
	case <-over:
	}
	p.Stop(ctx, min(sidecarPatience, w.stop.Left(time.Second)))
	return w.codeAtEnd(), nil
}

// codeAtEnd is the exit code of a sidecar that was ended.
func (w *sidecarRun) codeAtEnd() int {
	if w.stop.Told() {
		return plan.ExitStopped
	}
	return 0
}

// watch closes the channel when Flux is over, or the pod is told to stop.
func (w *sidecarRun) watch(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		var lost time.Time
		for w.stop.Sleep(sidecarPoll) {
			if w.has(markerFinished) {
				return
			}
			started, lives := w.fluxContainer()
			switch {
			case !started || lives:
				lost = time.Time{}
			case lost.IsZero():
				lost = time.Now()
			case time.Since(lost) > lostPatience:
				klog.FromContext(ctx).Info("The Flux container is gone; so does this one go")
				return
			}
		}
	}()
	return over
}

// waitSocket waits for the broker's socket, and tells false when Flux is over
// before it is there.
func (w *sidecarRun) waitSocket(over <-chan struct{}) bool {
	ticker := time.NewTicker(sidecarPoll)
	defer ticker.Stop()
	for {
		if exists(w.path(w.plan.Files.Socket)) {
			return true
		}
		select {
		case <-over:
			return false
		case <-ticker.C:
		}
	}
}
