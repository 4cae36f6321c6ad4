package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// SpecError is an error of the spec or of the image, which occurs in every pod.
type SpecError struct{ err error }

// Error returns the text of the error.
func (e *SpecError) Error() string { return e.err.Error() }

// Unwrap returns the error.
func (e *SpecError) Unwrap() error { return e.err }

// command is the name of Flux's command.
const command = "flux"

// binDir returns a directory that contains a link to the broker's Flux and nothing else. It is the first one in the
// PATH of hooks and programs, so that they use the broker's Flux even if the image has another one.
func binDir(p *plan.Plan) string { return path.Join(path.Dir(p.Files.R), "bin") }

// FluxLink returns a path of the broker's Flux.
func FluxLink(p *plan.Plan) string { return path.Join(binDir(p), command) }

// locate finds Flux: that of the view, that of an explicit prefix, or the first one in PATH, which hooks can change.
func (i *Instance) locate(sys system, env map[string]string) error {
	places := []string{sys.viewPaths(i.plan.View).bin}
	if i.plan.System && path.Clean(i.plan.InstallRoot) != "/usr" {
		places = append(places, path.Join(i.plan.InstallRoot, "bin"))
	}
	places = append(places, env["PATH"])
	if i.plan.System {
		places = append(places, path.Join(i.plan.InstallRoot, "bin"))
	}
	for _, dirs := range places {
		if flux, ok := sys.findFlux(dirs, binDir(i.plan)); ok {
			i.Flux = flux
			return nil
		}
	}
	return &SpecError{errors.New("no command flux in the PATH of the container: " + env["PATH"])}
}

// findFlux searches a list of directories for Flux, and skips links that the agent made.
func (s system) findFlux(directories, own string) (string, bool) {
	for dir := range strings.SplitSeq(directories, ":") {
		if dir == own {
			continue
		}
		if file, ok := s.find(command, dir); ok && !s.isClientLink(file) {
			return file, true
		}
	}
	return "", false
}

// find searches a list of directories for a program.
func (s system) find(program, directories string) (string, bool) {
	for dir := range strings.SplitSeq(directories, ":") {
		if file := path.Join(dir, program); path.IsAbs(dir) && s.executable(file) {
			return file, true
		}
	}
	return "", false
}

// comesWithHooks reports whether hooks that have not run yet may install or activate Flux.
func (i *Instance) comesWithHooks() bool {
	h := i.plan.Hooks
	return i.plan.System && h.PreCommand+h.Pre+h.BrokerPre+h.WorkerPre != ""
}

// use configures the pod for the Flux that locate found.
func (i *Instance) use(ctx context.Context, sys system, env map[string]string) error {
	dir := binDir(i.plan)
	if err := sys.mkdir(dir, owner{sys.uid, sys.gid}, 0o755); err != nil {
		return fmt.Errorf("making the directory %s: %w", dir, err)
	}
	if err := sys.symlink(i.Flux, FluxLink(i.plan)); err != nil {
		return fmt.Errorf("linking %s: %w", i.Flux, err)
	}
	if err := i.viewPackages(sys, env); err != nil {
		return err
	}
	i.setEnvironment(env)
	if err := i.ask(ctx, sys); err != nil {
		return err
	}
	i.compareVersions(ctx, sys, env)
	return nil
}

// compareVersions logs if the image has another version of Flux than the broker: programs that are linked with it may
// not work.
func (i *Instance) compareVersions(ctx context.Context, sys system, env map[string]string) {
	other, ok := sys.findFlux(env["PATH"], binDir(i.plan))
	if !ok || sys.same(other, i.Flux) {
		return
	}
	out, err := i.output(ctx, other, "version")
	if err != nil {
		return // it does not run in this container
	}
	if v, err := parseVersion(out); err == nil && v.Text != i.Version.Text {
		klog.FromContext(ctx).Info("The image has another version of Flux than the broker", "image", v.Text, "at", other, "broker", i.Version.Text)
	}
}

// same reports whether two paths are the same file.
func (s system) same(a, b string) bool {
	one, err := os.Stat(s.at(a))
	if err != nil {
		return false
	}
	two, err := os.Stat(s.at(b))
	return err == nil && os.SameFile(one, two)
}

// linkForClients makes flux a command of the container for processes that are started from outside (kubectl exec),
// which do not have the environment of the broker: a link to the agent, which finds the broker. It precedes a Flux of
// the image in containerPath.
func (i *Instance) linkForClients(ctx context.Context, sys system, containerPath string) {
	reason := "No directory in PATH is writable"
	for dir := range strings.SplitSeq(containerPath, ":") {
		file := path.Join(dir, command)
		if _, err := os.Lstat(sys.at(file)); !path.IsAbs(dir) || err == nil && !sys.isClientLink(file) {
			reason = "The flux of the image, " + file + ", is the first one in PATH"
			break
		}
		if !sys.isDir(dir) {
			continue
		}
		if err := sys.symlink(plan.AgentPath, file); err == nil {
			return
		}
	}
	if containerPath != "" {
		klog.FromContext(ctx).Info(reason + "; to run Flux commands from outside: kubectl exec POD -- " + plan.AgentPath + " flux -- ARGS")
	}
}

// isClientLink reports whether a file is a link that linkForClients made.
func (s system) isClientLink(file string) bool {
	target, err := os.Readlink(s.at(file))
	return err == nil && target == plan.AgentPath
}

// aliases makes links to Flux's files below the view, because hooks and documents for some versions of flux-operator
// expect them there.
func (i *Instance) aliases(sys system) error {
	if i.plan.View == nil {
		return nil
	}
	view := viewDir(i.plan.View)
	for alias, files := range map[string][]string{
		"etc/flux/system": {i.Files.R, i.Files.Hostlist},
		"etc/flux/config": {i.Files.BrokerTOML},
		"curve":           {i.Files.CurveCert},
	} {
		dir := path.Join(view, alias)
		links := map[string]string{dir: path.Dir(files[0])}
		if sys.isDir(dir) {
			// A directory of the view, or a link of an earlier run.
			clear(links)
			for _, file := range files {
				if link := path.Join(dir, path.Base(file)); !sys.same(link, file) {
					links[link] = file
				}
			}
		}
		for link, target := range links {
			err := os.MkdirAll(sys.at(path.Dir(link)), 0o755)
			if err == nil {
				err = sys.symlink(target, link)
			}
			if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
				return fmt.Errorf("linking %s: %w", link, err)
			}
		}
	}
	return nil
}
