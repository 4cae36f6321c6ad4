package prepare

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"syscall"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Command is a program that is ready to be executed.
type Command struct {
	// Path of the program.
	Path string
	// Args are its arguments, its name first.
	Args []string
	// Env is its environment.
	Env []string
	// Credential is its user, nil for the agent's own.
	Credential *syscall.Credential
}

// FluxCommand is a flux command against the broker of this pod: of the broker's user,
// with its PATH and its FLUX_URI, in either layout. It changes nothing in the pod.
func FluxCommand(_ context.Context, p *plan.Plan, o Options, args []string) (*Command, error) {
	sys := newSystem(o.Root)
	i := newInstance(p, o)
	if err := i.recognize(sys, o.Environ); err != nil {
		return nil, err
	}
	env := environment(p, sys.places(p.View), o.Environ)
	if err := i.locate(sys, env); err != nil {
		return nil, err
	}
	i.findSocket(sys)
	maps.Copy(env, environmentOf(i.User, i.Home))
	env["FLUX_URI"] = i.Files.SocketURI
	return &Command{
		Path: sys.at(i.Flux), Args: append([]string{"flux"}, args...), Env: list(env), Credential: i.Credential,
	}, nil
}

// recognize finds the user that owns the broker: that of its run directory.
func (i *Instance) recognize(sys system, environ []string) error {
	known, err := sys.accounts()
	if err != nil {
		return err
	}
	i.UID, i.GID = id(sys.uid), id(sys.gid)
	user, _ := known.uid(sys.uid)
	if found, ok := known.user(i.plan.User.Name); ok && i.plan.User.Name != "" && sys.mayBecomeAnother() {
		user = found
		i.become(known, user)
	}
	i.User = user.name
	i.Home = i.findHome(sys, user, environ)
	if i.Credential != nil {
		i.Home = homeOf(sys, user)
	}
	if !sys.isDir(i.Home) {
		i.Home = path.Join(i.Files.RunDir, "home")
	}
	return nil
}

// findSocket looks for the broker's socket where directories puts it.
func (i *Instance) findSocket(sys system) {
	usual := i.Files.Socket
	candidates := []string{usual}
	if i.plan.Broker.DisableSocket {
		candidates = []string{
			path.Join(i.Files.RunDir, privateName, "local"),
			path.Join(i.Files.RunDir, ownName, privateName, "local"),
		}
	}
	for _, socket := range candidates {
		if _, err := os.Stat(sys.at(socket)); err == nil {
			i.setSocket(socket)
			return
		}
	}
	i.setSocket(candidates[0]) // flux will say that nothing is there
}

// Exec becomes the command. It returns only if that fails.
func (c *Command) Exec() error {
	if cred := c.Credential; cred != nil {
		groups := make([]int, len(cred.Groups))
		for n, g := range cred.Groups {
			groups[n] = int(g)
		}
		if err := syscall.Setgroups(groups); err != nil {
			return fmt.Errorf("becoming user %d: %w", cred.Uid, err)
		}
		if err := syscall.Setgid(int(cred.Gid)); err != nil {
			return fmt.Errorf("becoming user %d: %w", cred.Uid, err)
		}
		if err := syscall.Setuid(int(cred.Uid)); err != nil {
			return fmt.Errorf("becoming user %d: %w", cred.Uid, err)
		}
	}
	if err := syscall.Exec(c.Path, c.Args, c.Env); err != nil {
		return fmt.Errorf("executing %s: %w", c.Path, err)
	}
	return nil
}
