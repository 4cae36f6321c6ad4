package agent

import (
	"context"
	"errors"
	"fmt"

	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// prepareRoot is the agent's root as package prepare wants it.
func (a *agent) prepareRoot() string {
	if a.root == "/" {
		return ""
	}
	return a.root
}

// view brings Flux to the directory that the containers of the pod share. image is
// where the image of the view is mounted, if it is.
func (a *agent) view(ctx context.Context, image string) int {
	if a.plan.View == nil {
		return a.fatal(ctx, exit(plan.ExitPrepare, errors.New("no view to bring: the image of the Flux container has Flux")))
	}
	if err := prepare.View(ctx, a.plan.View, prepare.ViewOptions{Root: a.prepareRoot(), Image: image}); err != nil {
		return a.fatal(ctx, exit(plan.ExitPrepare, fmt.Errorf("bringing the view of Flux: %w", err)))
	}
	return 0
}

// flux becomes a flux command against the broker of this pod.
func (a *agent) flux(ctx context.Context, args []string) int {
	command, err := prepare.FluxCommand(ctx, a.plan, prepare.Options{Root: a.prepareRoot(), Environ: a.environ}, args)
	if err == nil {
		err = command.Exec()
	}
	fmt.Fprintln(a.stderr, "minicluster-agent:", err)
	return exitNotStarted(err)
}
