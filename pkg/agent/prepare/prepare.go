package prepare

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Prepare makes a pod ready for its broker. It can be repeated, for example after a restart of the container.
func Prepare(ctx context.Context, p *plan.Plan, o Options) (*Instance, error) {
	// A broker derives its rank from its host name, which in the network of the host is the one of the node.
	want := p.Name + "-" + strconv.Itoa(o.Index)
	if p.HostNetwork {
		o.Hostname = want
	}
	if o.Hostname != want {
		return nil, fmt.Errorf("the host name of the pod is %q; the brokers expect %q", o.Hostname, want)
	}
	sys := newSystem(o.Root)
	i := newInstance(p, o)
	if err := i.identify(ctx, sys, o.Environ); err != nil {
		return nil, fmt.Errorf("identifying the user of Flux: %w", err)
	}
	if err := i.directories(ctx, sys); err != nil {
		return nil, err
	}
	i.workingDirectory(ctx, sys, o.Dir)
	env := environment(p, sys.viewPaths(p.View), o.Environ, shellsplit.ScriptShell())
	err := i.locate(sys, env)
	switch {
	case err == nil:
		err = i.use(ctx, sys, env)
	case i.comesWithHooks():
		// A hook may install Flux, or activate an environment that contains it.
		klog.FromContext(ctx).V(1).Info("No Flux before the hooks", "PATH", env["PATH"])
		i.setEnvironment(env)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	i.linkForClients(ctx, sys, o.Path)
	if err := i.aliases(sys); err != nil {
		return nil, err
	}
	if err := i.configuration(sys); err != nil {
		return nil, err
	}
	if err := i.scripts(sys, env); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context, system) error{i.addUsers, i.imp, i.munge} {
		if err := step(ctx, sys); err != nil {
			return nil, err
		}
	}
	i.sudoers(ctx, sys)
	return i, nil
}

func newInstance(p *plan.Plan, o Options) *Instance {
	return &Instance{plan: p, root: o.Root, hostname: o.Hostname, Files: p.Files, Lead: o.Index == 0 && !p.Child}
}

// setEnvironment makes the environments of the broker and of hooks. Hooks that run as the broker's user have its home
// directory and name too.
func (i *Instance) setEnvironment(env map[string]string) {
	env["FLUX_RC_EXTRA"] = withDir(env["FLUX_RC_EXTRA"], i.rcExtraDir())
	if i.Credential == nil && !i.adopted {
		maps.Copy(env, environmentOf(i.User, i.Home))
	}
	i.HookEnv = list(env)
	own := maps.Clone(env)
	if i.Credential != nil {
		maps.Copy(own, environmentOf(i.User, i.Home))
	}
	i.Env = list(own)
}

// ask determines the version of Flux, and with its help the resources of this host.
func (i *Instance) ask(ctx context.Context, sys system) error {
	var err error
	if i.Version, err = i.version(ctx); err != nil {
		return err
	}
	if err := i.affinity(ctx, sys, i.rcExtraDir()); err != nil {
		return err
	}
	if i.ownR(sys) {
		return nil // a hook wrote it
	}
	r, err := i.encodeR(ctx)
	if err == nil {
		err = sys.write(i.Files.R, []byte(r), i.owner(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the resources of the instance: %w", err)
	}
	i.encodedR = r
	return nil
}
