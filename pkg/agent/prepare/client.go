package prepare

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"syscall"

	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Command is a program that can be executed.
type Command struct {
	// Path of the program.
	Path string
	// Args are its arguments; the first one is its name.
	Args []string
	// Env is its environment.
	Env []string
	// Credential is its user; nil for the user of the agent.
	Credential *syscall.Credential
}

// FluxCommand returns a flux command for the broker of this pod: with the user, the PATH and the FLUX_URI of the
// broker, in either layout. It changes nothing in the pod.
func FluxCommand(_ context.Context, p *plan.Plan, o Options, args []string) (*Command, error) {
	sys := newSystem(o.Root)
	i := newInstance(p, o)
	if err := i.recognize(sys, o.Environ); err != nil {
		return nil, err
	}
	env := environment(p, sys.viewPaths(p.View), o.Environ, shellsplit.ScriptShell())
	// Hooks may have chosen the Flux of the broker.
	if flux, err := os.Readlink(sys.at(FluxLink(p))); err == nil && sys.executable(flux) {
		i.Flux = flux
	} else if err := i.locate(sys, env); err != nil {
		return nil, err
	}
	if uri := lookupEnv(o.Environ, "FLUX_URI"); uri != "" && o.KeepURI {
		// The process belongs to an instance, which may be that of a job.
		return &Command{Path: sys.at(i.Flux), Args: append([]string{command}, args...), Env: o.Environ}, nil
	}
	i.findSocket(sys)
	maps.Copy(env, environmentOf(i.User, i.Home))
	env["FLUX_URI"] = i.Files.SocketURI
	return &Command{
		Path: sys.at(i.Flux), Args: append([]string{command}, args...), Env: list(env), Credential: i.Credential,
	}, nil
}

// recognize finds the user of the broker, who owns its run directory.
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

// findSocket finds the broker's socket in the directories where the method directories viewPaths it.
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
	i.setSocket(candidates[0]) // flux reports that there is no socket
}

// Exec replaces this process by the command. It returns only if that fails.
func (c *Command) Exec() error {
	if cred := c.Credential; cred != nil {
		groups := make([]int, len(cred.Groups))
		for n, g := range cred.Groups {
			groups[n] = int(g)
		}
		if err := syscall.Setgroups(groups); err != nil {
			return fmt.Errorf("switching to user %d: %w", cred.Uid, err)
		}
		if err := syscall.Setgid(int(cred.Gid)); err != nil {
			return fmt.Errorf("switching to user %d: %w", cred.Uid, err)
		}
		if err := syscall.Setuid(int(cred.Uid)); err != nil {
			return fmt.Errorf("switching to user %d: %w", cred.Uid, err)
		}
	}
	if err := syscall.Exec(c.Path, c.Args, c.Env); err != nil {
		return fmt.Errorf("executing %s: %w", c.Path, err)
	}
	return nil
}
