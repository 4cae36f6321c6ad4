package prepare

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// defaultPath is searched where the image has no PATH, as execvp(3) does.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// places are those of a view's parts in a pod, empty where it has none.
type places struct {
	bin, lib, python string
}

// viewDir is where a view is found: the directory view of flux-operator.
func viewDir(v *plan.View) string { return path.Join(v.MountPath, "view") }

// softwareDir is where the packages are that a view links to.
func softwareDir(v *plan.View) string { return path.Join(v.MountPath, plan.SoftwareSubPath) }

// places finds the parts of the view.
func (s system) places(v *plan.View) places {
	if v == nil || !v.Copied {
		return places{}
	}
	dir := viewDir(v)
	out := places{bin: path.Join(dir, "bin"), lib: path.Join(dir, "lib"), python: v.PythonPath}
	if out.python == "" {
		// The newest, should there be several.
		found, _ := filepath.Glob(s.at(path.Join(dir, "lib/python3*")))
		if len(found) > 0 {
			slices.SortFunc(found, comparePythons)
			out.python = path.Join(out.lib, filepath.Base(found[len(found)-1]), "site-packages")
		}
	}
	return out
}

// comparePythons orders python3.9 before python3.11.
func comparePythons(a, b string) int {
	a, b = filepath.Base(a), filepath.Base(b)
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// environment is that of everything in the pod that has to do with Flux: the
// container's own, and what makes Flux found. It is in no place set for the
// container, and no value that is set here has white space in it, unless the spec's
// own has: commands like sudo -E $(env) work.
func environment(p *plan.Plan, v places, environ []string) map[string]string {
	env := parseEnviron(environ)
	// What belongs to another instance, in which the agent may have been started.
	for _, name := range []string{"FLUX_URI", "FLUX_JOB_ID", "FLUX_JOB_ID_PATH", "FLUX_KVS_NAMESPACE", "FLUX_ENCLOSING_ID"} {
		delete(env, name)
	}
	if env["PATH"] == "" {
		env["PATH"] = defaultPath
	}
	// At the end: a program that the image has too is the image's.
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
		env["fluxsocket"] = p.Files.SocketURI
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

// withDir puts a directory at the end of a list like PATH, if it is not in it.
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

// parseEnviron is an environment as a map; where a name is in it twice, the last
// counts.
func parseEnviron(environ []string) map[string]string {
	out := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			out[name] = value
		}
	}
	return out
}

// lookupEnv is the value of a variable, empty if there is none.
func lookupEnv(environ []string, name string) string {
	return parseEnviron(environ)[name]
}

// list is an environment for execve(2), sorted.
func list(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// find looks for a program in a list of directories.
func (s system) find(program, directories string) (string, bool) {
	for dir := range strings.SplitSeq(directories, ":") {
		if file := path.Join(dir, program); path.IsAbs(dir) && s.executable(file) {
			return file, true
		}
	}
	return "", false
}
