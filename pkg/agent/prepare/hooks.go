package prepare

import (
	"bytes"
	"context"
	"fmt"
	"path"

	"k8s.io/klog/v2"
)

// AdoptHooks applies what the hooks before the broker have left: exported variables, another Flux in PATH, and an R
// file.
func (i *Instance) AdoptHooks(ctx context.Context, environ []string) error {
	sys := newSystem(i.root)
	i.adopted = true
	env := parseEnviron(environ)
	env["PATH"] = beforeDirs(binDir(i.plan), env["PATH"])
	i.keepOwn(ctx, env)
	if err := i.adoptR(ctx, sys); err != nil {
		return err
	}
	before := i.Flux
	if err := i.locate(sys, env); err != nil {
		return err
	}
	if i.Flux == before {
		i.setEnvironment(env)
		return nil
	}
	klog.FromContext(ctx).V(1).Info("Hooks changed the Flux in PATH", "before", before, "now", i.Flux)
	return i.use(ctx, sys, env)
}

// keepOwn replaces the variables that only the agent and the broker set, if a hook has exported other values.
func (i *Instance) keepOwn(ctx context.Context, env map[string]string) {
	own := map[string]string{}
	if !i.plan.Broker.DisableSocket {
		own[socketVariable] = i.plan.Files.SocketURI
	}
	for _, name := range append(instanceVariables(), socketVariable) {
		value, set := env[name]
		mine, ok := own[name]
		if !set || ok && value == mine {
			continue
		}
		klog.FromContext(ctx).Info("A variable that a hook exported has no effect on Flux, because it belongs to the instance", "variable", name, "value", value)
		delete(env, name)
		if ok {
			env[name] = mine
		}
	}
}

// adoptR copies an R file that a hook wrote below the view, if the view has a directory for it.
func (i *Instance) adoptR(ctx context.Context, sys system) error {
	if i.plan.View == nil {
		return nil
	}
	file := path.Join(viewDir(i.plan.View), "etc/flux/system/R")
	text, err := sys.read(file)
	if err != nil || sys.same(file, i.Files.R) {
		return nil //nolint:nilerr // no hook wrote one
	}
	klog.FromContext(ctx).V(1).Info("Using the resources that a hook wrote", "file", file)
	if err := sys.write(i.Files.R, text, i.owner(), 0o644); err != nil {
		return fmt.Errorf("copying %s: %w", file, err)
	}
	return nil
}

// ownR reports whether a hook wrote the R file.
func (i *Instance) ownR(sys system) bool {
	if !i.adopted {
		return false
	}
	text, err := sys.read(i.Files.R)
	return err == nil && !bytes.Equal(text, []byte(i.encodedR))
}
