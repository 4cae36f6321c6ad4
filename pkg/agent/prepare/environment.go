package prepare

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// defaultPath is the search path for images without PATH, as in execvp(3).
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// viewPaths are the paths of the parts of a view in a pod, empty for missing parts.
type viewPaths struct {
	bin, lib, python string
}

// viewDir returns the path of a view: the directory view, as in flux-operator.
func viewDir(v *plan.View) string { return path.Join(v.MountPath, "view") }

// softwareDir returns the directory of the packages to which a view links.
func softwareDir(v *plan.View) string { return path.Join(v.MountPath, plan.SoftwareSubPath) }

// viewPaths finds the parts of the view.
func (s system) viewPaths(v *plan.View) viewPaths {
	if v == nil || !v.Copied {
		return viewPaths{}
	}
	dir := viewDir(v)
	out := viewPaths{bin: path.Join(dir, "bin"), lib: path.Join(dir, "lib"), python: v.PythonPath}
	if out.python == "" {
		// The newest one, if there are several.
		found, _ := filepath.Glob(s.at(path.Join(dir, "lib/python3*")))
		if len(found) > 0 {
			slices.SortFunc(found, comparePythons)
			out.python = path.Join(out.lib, filepath.Base(found[len(found)-1]), "site-packages")
		}
	}
	return out
}

// comparePythons sorts python3.9 before python3.11.
func comparePythons(a, b string) int {
	a, b = filepath.Base(a), filepath.Base(b)
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// fluxShell is the shell of Flux for scripts if the environment does not name one.
const fluxShell = "/bin/bash"

// environment returns the environment of all programs that use Flux: that of the container, and what is needed to
// find Flux. The container itself does not get these variables. Values that are set here have no white space, except
// for values from the spec, so that commands like sudo -E $(env) work.
//
// The shell is that of the image. Flux starts the scripts of flux batch with SHELL or else with bash, which small
// images do not have.
func environment(p *plan.Plan, v viewPaths, environ []string, shell string) map[string]string {
	env := parseEnviron(environ)
	if env["SHELL"] == "" && shell != fluxShell {
		env["SHELL"] = shell
	}
	for _, name := range instanceVariables() { // the agent may have been started in another instance
		delete(env, name)
	}
	if env["PATH"] == "" {
		env["PATH"] = defaultPath
	}
	env["PATH"] = beforeDirs(binDir(p), env["PATH"])
	// At the end, so that programs of the image take precedence.
	if p.System {
		env["PATH"] = withDir(env["PATH"], path.Join(p.InstallRoot, "bin"))
	} else {
		env["PATH"] = withDir(env["PATH"], v.bin)
		env["PYTHONPATH"] = withDir(env["PYTHONPATH"], v.python)
		if env["PYTHONPATH"] == "" {
			delete(env, "PYTHONPATH")
		}
	}
	if !p.Broker.DisableSocket {
		env[socketVariable] = p.Files.SocketURI
	}
	env["FLUX_OUTPUT_DIR"] = defaultOutputDir
	if p.Lead.Logs != "" {
		env["FLUX_OUTPUT_DIR"] = p.Lead.Logs
	}
	if p.System && p.Lead.OptionFlags != "" {
		env["FLUX_OPTION_FLAGS"] = p.Lead.OptionFlags
	}
	maps.Copy(env, p.Broker.Environment)
	return env
}

// socketVariable has the URI of the broker's socket, as in flux-operator.
const socketVariable = "fluxsocket"

// instanceVariables returns the names of variables that identify a Flux instance or a job. The broker sets those of its
// own instance; with those of another one it would be a part of that.
func instanceVariables() []string {
	return []string{"FLUX_URI", "FLUX_JOB_ID", "FLUX_JOB_ID_PATH", "FLUX_KVS_NAMESPACE", "FLUX_ENCLOSING_ID"}
}

// withDir appends a directory to a list like PATH, unless the list contains it.
func withDir(list, dir string) string {
	switch {
	case dir == "" || slices.Contains(strings.Split(list, ":"), dir):
		return list
	case list == "":
		return dir
	default:
		return list + ":" + dir
	}
}

// parseEnviron returns an environment as a map. The last value of a repeated name counts.
func parseEnviron(environ []string) map[string]string {
	out := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			out[name] = value
		}
	}
	return out
}

// lookupEnv returns the value of a variable, "" if it is not set.
func lookupEnv(environ []string, name string) string {
	return parseEnviron(environ)[name]
}

// list returns an environment for execve(2), sorted.
func list(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// beforeDirs moves a directory to the beginning of a list like PATH.
func beforeDirs(dir, dirs string) string {
	rest := slices.DeleteFunc(strings.Split(dirs, ":"), func(d string) bool { return d == dir })
	return strings.Join(append([]string{dir}, rest...), ":")
}
