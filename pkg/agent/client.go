package agent

import (
	"context"
	"errors"
	"fmt"

	"minicluster.internal/operator/pkg/agent/hooks"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// view copies Flux to the directory that the containers of the pod share. image is where the image of the view is
// mounted, "" if it is not mounted.
func (a *agent) view(ctx context.Context, image string) int {
	if a.Plan.View == nil {
		return a.fatal(ctx, pod.Exit(plan.ExitPrepare, errors.New("the plan has no view: the image of the Flux container has Flux")))
	}
	ctx, cancel := a.shutdown.Context(ctx)
	defer cancel()
	if err := prepare.View(ctx, a.Plan.View, prepare.ViewOptions{Root: a.PrepareRoot(), Image: image}); err != nil {
		return a.fatal(ctx, pod.Exit(plan.ExitPrepare, fmt.Errorf("copying the view of Flux: %w", err)))
	}
	return 0
}

// flux replaces this process by a flux command against the broker of this pod. With keepURI, a process of another
// instance, such as that of a job, connects to its own instance.
func (a *agent) flux(ctx context.Context, args []string, keepURI bool) int {
	o := prepare.Options{Root: a.PrepareRoot(), Environ: a.Environ, KeepURI: keepURI}
	command, err := prepare.FluxCommand(ctx, a.Plan, o, args)
	if err == nil {
		err = command.Exec()
	}
	fmt.Fprintln(a.Stderr, "minicluster-agent:", err)
	return hooks.ExitNotStarted(err)
}
