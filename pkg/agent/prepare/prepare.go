package prepare

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"

	"minicluster.internal/operator/pkg/agent/plan"
)

// Prepare makes a pod ready for its broker. It can be called again, in a container
// that was started again for example.
func Prepare(ctx context.Context, p *plan.Plan, o Options) (*Instance, error) {
	sys := newSystem(o.Root)
	i := &Instance{plan: p, root: o.Root, Files: p.Files, Lead: o.Index == 0 && !p.Child}
	if err := i.identify(ctx, sys, o.Environ); err != nil {
		return nil, fmt.Errorf("the user of Flux: %w", err)
	}
	if err := i.locate(ctx, sys, o.Environ); err != nil {
		return nil, err
	}
	if err := i.directories(sys); err != nil {
		return nil, err
	}
	if err := i.configuration(sys); err != nil {
		return nil, err
	}
	r, err := i.encodeR(ctx)
	if err == nil {
		err = sys.write(i.Files.R, []byte(r), i.owner(), 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("the resources of the instance: %w", err)
	}
	if err := i.addUsers(ctx, sys); err != nil {
		return nil, err
	}
	return i, nil
}

// locate finds Flux and its environment.
func (i *Instance) locate(ctx context.Context, sys system, environ []string) error {
	view := sys.places(i.plan.View)
	env := environment(i.plan, view, environ)
	i.HookEnv = list(env)
	maps.Copy(env, environmentOf(i.User, i.Home))
	i.Env = list(env)

	// Flux of the view, also where the image has another one.
	flux, ok := sys.find("flux", view.bin)
	if !ok && i.plan.System {
		flux, ok = sys.find("flux", path.Join(i.plan.InstallRoot, "bin"))
	}
	if !ok {
		flux, ok = sys.find("flux", env["PATH"])
	}
	if !ok {
		return errors.New("there is no command flux in the PATH of the container: " + env["PATH"])
	}
	i.Flux = flux
	var err error
	i.Version, err = i.version(ctx)
	return err
}
