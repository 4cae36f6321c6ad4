package prepare

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// exclusive reports whether the container has exclusive CPUs: it requests cores, may use exactly that many, and the
// machine has more. The kubelet's static CPU manager assigns CPUs like this. Otherwise all pods of a node see the
// same CPUs, each pod numbers them from 0, and bound processes of all pods would share the first ones.
func exclusive(cores int, allowed, online cpuset) bool {
	return cores > 0 && len(allowed) == cores && len(allowed) < len(online)
}

// alone reports whether no other pod on the node can bind its jobs: the pod requests more than half of the CPUs of the
// machine, and so does every pod that binds. Flux binds to physical cores, so the pod must not count more cores than
// there are.
func alone(r plan.Resources, physical int, online cpuset) bool {
	return r.Cores > 0 && r.Cores <= physical && 2*r.RequestedMilliCPU > 1000*int64(len(online))
}

// cpuset is a set of CPUs by number.
type cpuset map[int]bool

// parseCPUs reads a list of CPUs, cpuset(7): 0-3,8.
func parseCPUs(text string) (cpuset, error) {
	out := cpuset{}
	text = strings.TrimSpace(text)
	if text == "" {
		return out, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		var first, last int
		if _, err := fmt.Sscanf(part, "%d-%d", &first, &last); err != nil {
			if _, err := fmt.Sscanf(part, "%d", &first); err != nil {
				return nil, fmt.Errorf("%q is not a list of CPUs", text)
			}
			last = first
		}
		if first < 0 || last < first || last >= maxCPUs {
			return nil, fmt.Errorf("%q is not a list of CPUs", text)
		}
		for n := first; n <= last; n++ {
			out[n] = true
		}
	}
	return out, nil
}

// maxCPUs is larger than the number of CPUs that Linux supports.
const maxCPUs = 1 << 16

// cpus are the CPUs of the container and of the machine.
type cpus struct {
	allowed, online cpuset
	// physical is the number of physical cores of the allowed CPUs.
	physical int
}

// cpus reads the CPUs of the container and of the machine.
func (s system) cpus() (cpus, error) {
	var out cpus
	status, err := s.read("/proc/self/status")
	if err != nil {
		return out, err
	}
	for line := range bytes.Lines(status) {
		if list, ok := bytes.CutPrefix(line, []byte("Cpus_allowed_list:")); ok {
			if out.allowed, err = parseCPUs(string(list)); err != nil {
				return out, err
			}
		}
	}
	text, err := s.read("/sys/devices/system/cpu/online")
	if err != nil {
		return out, err
	}
	if out.online, err = parseCPUs(string(text)); err != nil {
		return out, err
	}
	cores := map[string]bool{}
	for n := range out.allowed {
		siblings, err := s.read(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", n))
		if err != nil {
			siblings = strconv.AppendInt(nil, int64(n), 10)
		}
		cores[strings.TrimSpace(string(siblings))] = true
	}
	out.physical = len(cores)
	return out, nil
}

// findCPUs determines whether the CPUs are exclusive, and whether jobs may be bound to them.
func (i *Instance) findCPUs(ctx context.Context, sys system) {
	c, err := sys.cpus()
	if err != nil {
		klog.FromContext(ctx).V(1).Info("Assuming that CPUs are shared", "reason", err.Error())
		return
	}
	i.exclusive = exclusive(i.plan.Resources.Cores, c.allowed, c.online)
	i.binds = i.exclusive || alone(i.plan.Resources, c.physical, c.online)
}

// shellInitrcText is a flux-shell-initrc(5): the kernel places jobs unless they request an affinity. Everything else
// is Flux's default.
func shellInitrcText(builtin string) string {
	return `-- The CPUs are shared with other pods: tasks are not bound to some of them.
if shell.options["cpu-affinity"] == nil then
  shell.options["cpu-affinity"] = "off"
end
source_if_exists ("` + luaEscape(builtin) + `")
`
}

// luaEscape escapes a text for a quoted Lua string.
func luaEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text)
}

// rcInitrcText is a script of rc1.d that configures the same in instances inside of jobs (flux batch, flux alloc),
// which do not inherit the attributes of a broker.
func rcInitrcText(initrc string) string {
	return "#!/bin/sh\nflux setattr conf.shell_initrc " + shellsplit.Quote(initrc) + " || true\n"
}

// affinity prevents that jobs of a container with shared CPUs bind themselves to CPUs. It writes a script for the
// directory in FLUX_RC_EXTRA.
func (i *Instance) affinity(ctx context.Context, sys system, rcExtra string) error {
	i.findCPUs(ctx, sys)
	if i.binds {
		i.shellInitrc = ""
		return nil
	}
	builtin, err := i.output(ctx, i.Flux, "config", "builtin", "shell_initrc")
	if err != nil {
		return fmt.Errorf("asking Flux for its shell's initrc: %w", err)
	}
	builtin = strings.TrimSpace(builtin)
	i.shellInitrc = path.Join(path.Dir(i.Files.R), "shell-initrc.lua")
	if err := sys.write(i.shellInitrc, []byte(shellInitrcText(builtin)), i.owner(), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", i.shellInitrc, err)
	}
	// Flux's shell reads its scripts, such as those of -o mpi=, from a directory next to the initrc.
	if err := sys.symlink(i.shellScripts(sys, builtin), path.Join(path.Dir(i.shellInitrc), shellScriptsDir)); err != nil {
		return fmt.Errorf("linking the scripts of Flux's shell: %w", err)
	}
	script := path.Join(rcExtra, "rc1.d", "90-minicluster-affinity")
	if err := sys.write(script, []byte(rcInitrcText(i.shellInitrc)), i.owner(), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", script, err)
	}
	return nil
}

// shellScriptsDir is the directory of scripts next to an initrc.
const shellScriptsDir = "lua.d"

// shellScripts returns the directory of the scripts of Flux's shell: that of the view, which contains the scripts of
// all its packages, or the one next to Flux's own initrc.
func (i *Instance) shellScripts(sys system, builtin string) string {
	if v := i.plan.View; v != nil && i.Flux == path.Join(viewDir(v), "bin", command) {
		if dir := path.Join(viewDir(v), "etc/flux/shell", shellScriptsDir); sys.isDir(dir) {
			return dir
		}
	}
	return path.Join(path.Dir(builtin), shellScriptsDir)
}
