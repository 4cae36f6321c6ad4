package prepare

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/agent/shellsplit"
)

// scripts writes the files that flux-operator puts into the mount path of the view for users to source. Paths and
// variable names are those that documents and tools of flux-operator use.
func (i *Instance) scripts(sys system, env map[string]string) error {
	if i.plan.View == nil {
		return nil
	}
	dir := i.plan.View.MountPath
	for name, text := range map[string]string{
		"flux-view.sh":    fluxViewText(i.plan.View.Copied, viewDir(i.plan.View), env, i.plan.Broker.Environment),
		"flux-connect.sh": fluxConnectText(path.Join(dir, "flux-view.sh")),
		"load-fluxion.sh": loadFluxionText,
	} {
		if err := sys.write(path.Join(dir, name), []byte(text), i.owner(), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", path.Join(dir, name), err)
		}
	}
	return nil
}

// viewVariables returns the variables of flux-view.sh.
func viewVariables() []string { return []string{"PATH", "PYTHONPATH", "fluxsocket"} }

// fluxViewText returns a script that sets the environment for flux commands. Only a shell that sources it uses the
// libraries of the view: programs of the image may not work with them, and programs of the view find them anyway.
func fluxViewText(copied bool, view string, env, user map[string]string) string {
	var out strings.Builder
	out.WriteString("#!/bin/sh\n# To be sourced: . flux-view.sh\n")
	for _, name := range viewVariables() {
		if value, ok := env[name]; ok && user[name] == "" {
			fmt.Fprintf(&out, "export %s=%s\n", name, shellsplit.Quote(value))
		}
	}
	if copied {
		fmt.Fprintf(&out, "export LD_LIBRARY_PATH=\"${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}\"%s\n", shellsplit.Quote(path.Join(view, "lib")))
	}
	for _, name := range slices.Sorted(maps.Keys(user)) {
		fmt.Fprintf(&out, "export %s=%s\n", name, shellsplit.Quote(user[name]))
	}
	return out.String()
}

// fluxConnectText returns a script that connects to the broker in a new shell.
func fluxConnectText(view string) string {
	return "#!/bin/sh\n. " + shellsplit.Quote(view) + `
if command -v bash >/dev/null 2>&1; then
  flux proxy "$fluxsocket" bash
else
  flux proxy "$fluxsocket" sh
fi
`
}

const loadFluxionText = `#!/bin/sh
# Replaces the simple scheduler of an instance by Fluxion.
flux module remove sched-simple
flux module load sched-fluxion-resource
flux module load sched-fluxion-qmanager
`
