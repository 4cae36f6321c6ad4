package prepare

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	"k8s.io/klog/v2"
)

// exclusive tells whether the CPUs that the container may use are its own: it asked
// for cores, may use exactly as many, and the machine has others. So it is where the
// kubelet's static CPU manager gives a container its cores. Otherwise all pods of a
// node see the same CPUs, each numbers them from 0 on, and processes that were bound
// to them would share the first ones.
func exclusive(cores int, allowed, online cpuset) bool {
	return cores > 0 && len(allowed) == cores && len(allowed) < len(online)
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
				return nil, fmt.Errorf("%q is no list of CPUs", text)
			}
			last = first
		}
		if first < 0 || last < first || last >= maxCPUs {
			return nil, fmt.Errorf("%q is no list of CPUs", text)
		}
		for n := first; n <= last; n++ {
			out[n] = true
		}
	}
	return out, nil
}

// maxCPUs is more than Linux knows.
const maxCPUs = 1 << 16

// exclusiveCPUs looks at the CPUs of the container and of the machine.
func (i *Instance) exclusiveCPUs(sys system) (bool, error) {
	status, err := sys.read("/proc/self/status")
	if err != nil {
		return false, err
	}
	var allowed cpuset
	for line := range bytes.Lines(status) {
		if list, ok := bytes.CutPrefix(line, []byte("Cpus_allowed_list:")); ok {
			if allowed, err = parseCPUs(string(list)); err != nil {
				return false, err
			}
		}
	}
	text, err := sys.read("/sys/devices/system/cpu/online")
	if err != nil {
		return false, err
	}
	online, err := parseCPUs(string(text))
	if err != nil {
		return false, err
	}
	return exclusive(i.plan.Resources.Cores, allowed, online), nil
}

// shellInitrcText is a flux-shell-initrc(5): jobs run where the kernel puts them
// unless they ask for something else, and all else is as Flux has it.
func shellInitrcText(builtin string) string {
	return `-- The CPUs are shared with other pods: tasks are not bound to some of them.
if shell.options["cpu-affinity"] == nil then
  shell.options["cpu-affinity"] = "off"
end
source_if_exists ("` + luaEscape(builtin) + `")
`
}

// luaEscape makes a text fit between quotes in Lua.
func luaEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text)
}

// rcInitrcText is a script of rc1.d: it says the same to instances inside jobs (flux
// batch, flux alloc), which don't inherit what a broker was told.
func rcInitrcText(initrc string) string {
	return "#!/bin/sh\nflux setattr conf.shell_initrc " + shellQuote(initrc) + " || true\n"
}

// affinity keeps jobs of a container with shared CPUs from binding themselves to
// them. It writes a script for the directory that FLUX_RC_EXTRA names.
func (i *Instance) affinity(ctx context.Context, sys system, rcExtra string) error {
	own, err := i.exclusiveCPUs(sys)
	if err != nil {
		klog.FromContext(ctx).V(1).Info("The CPUs count as shared", "reason", err.Error())
	}
	if own {
		return nil
	}
	builtin, err := i.output(ctx, i.Flux, "config", "builtin", "shell_initrc")
	if err != nil {
		return fmt.Errorf("asking Flux for its shell's initrc: %w", err)
	}
	i.shellInitrc = path.Join(path.Dir(i.Files.R), "shell-initrc.lua")
	text := shellInitrcText(strings.TrimSpace(builtin))
	if err := sys.write(i.shellInitrc, []byte(text), i.owner(), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", i.shellInitrc, err)
	}
	script := path.Join(rcExtra, "rc1.d", "90-minicluster-affinity")
	if err := sys.write(script, []byte(rcInitrcText(i.shellInitrc)), i.owner(), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", script, err)
	}
	return nil
}
