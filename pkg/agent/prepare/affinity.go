package prepare

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	"k8s.io/klog/v2"
)

// exclusive reports whether the container has CPUs of its own: it requests cores, may use exactly that many, and the
// machine has more. The kubelet's static CPU manager assigns CPUs like this. Otherwise all pods of a node see the
// same CPUs, each pod numbers them from 0, and bound processes of all pods would share the first ones.
func exclusive(cores int, allowed, online cpuset) bool {
	return cores > 0 && len(allowed) == cores && len(allowed) < len(online)
}

// cpuset is a set of CPU numbers.
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

// exclusiveCPUs reports whether the CPUs of the container are exclusive, see exclusive.
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

// shellInitrcText is a flux-shell-initrc(5): the kernel viewPaths jobs unless they request an affinity. Everything else
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
	return "#!/bin/sh\nflux setattr conf.shell_initrc " + shellQuote(initrc) + " || true\n"
}

// affinity prevents that jobs of a container with shared CPUs bind themselves to CPUs. It writes a script for the
// directory in FLUX_RC_EXTRA.
func (i *Instance) affinity(ctx context.Context, sys system, rcExtra string) error {
	own, err := i.exclusiveCPUs(sys)
	if err != nil {
		klog.FromContext(ctx).V(1).Info("Assuming that CPUs are shared", "reason", err.Error())
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
