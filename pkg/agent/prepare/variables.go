package prepare

import (
	"maps"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// ScriptVariables returns the variables of flux-operator's script that hooks use, as far as they are known before
// Prepare.
func ScriptVariables(p *plan.Plan) map[string]string {
	f := p.Files
	out := map[string]string{
		"hosts": p.Hosts, "mainHost": p.Name + "-0", "cfg": f.ConfigDir, "curvepath": f.CurveCert, "command": p.Lead.Command, "STATE_DIR": f.StateDir,
	}
	out["fluxuser"], out["fluxuid"] = p.User.Name, strconv.FormatInt(p.User.UID, 10)
	if p.User.Name == "" {
		out["fluxuser"], out["fluxuid"] = currentUser()
	}
	if p.View == nil {
		out["fluxroot"] = p.InstallRoot
		out["option_flags"] = p.Lead.OptionFlags
		return out
	}
	view := viewDir(p.View)
	maps.Copy(out, map[string]string{
		"viewbase": p.View.MountPath, "viewroot": view, "configroot": path.Join(p.View.MountPath, "config"), "software": softwareDir(p.View),
		"viewbin": path.Join(view, "bin"), "fluxpath": path.Join(view, "bin/flux"),
	})
	return out
}

// currentUser returns the name and the UID of the agent's user.
func currentUser() (name, uid string) {
	u, err := user.Current()
	if err != nil {
		return "", ""
	}
	return u.Username, u.Uid
}

// ScriptVariables returns the variables of flux-operator's script for hooks that run after Prepare.
func (i *Instance) ScriptVariables() map[string]string {
	out := ScriptVariables(i.plan)
	out["fluxuser"], out["fluxuid"] = i.User, strconv.Itoa(int(i.UID))
	out["STATE_DIR"] = i.Files.StateDir
	attributes := i.attributes(BrokerRun{})
	var options []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		options = append(options, "-S"+name+"="+attributes[name])
	}
	out["brokerOptions"] = strings.Join(options, " ")
	if v := i.plan.View; v != nil {
		if python := newSystem(i.root).viewPaths(v).python; python != "" {
			found := path.Dir(python)
			out["foundroot"], out["pythonversion"] = found, path.Join(viewDir(v), "bin", path.Base(found))
		}
		return out
	}
	as := " -E PYTHONPATH=$PYTHONPATH -E PATH=$PATH -E LD_LIBRARY_PATH=$LD_LIBRARY_PATH"
	env := parseEnviron(i.HookEnv)
	for _, name := range []string{"PYTHONPATH", "LD_LIBRARY_PATH", "PATH"} {
		as = strings.ReplaceAll(as, "$"+name, env[name])
	}
	out["asSudo"] = "sudo" + as
	out["asFlux"] = "sudo -u " + i.User + as + " -E HOME=" + i.Home
	return out
}
