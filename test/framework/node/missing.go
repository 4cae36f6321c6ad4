package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// cniDirs are the directories where distributions and the CNI project install the plugins; the first one that
// contains them is used.
func cniDirs() []string { return []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} }

// Missing returns the missing prerequisites of a node on this machine, each with the remedy. It is empty if a node
// can be started.
func Missing() []error {
	if runtime.GOOS != "linux" {
		return []error{fmt.Errorf("a real node needs Linux, this is %s", runtime.GOOS)}
	}
	var missing []error
	if os.Geteuid() != 0 {
		missing = append(missing, fmt.Errorf("a real node needs root, this is user %d", os.Geteuid()))
	}
	for _, program := range []struct{ name, pkg string }{
		{"runc", "runc"},
		{"iptables", "iptables"},
	} {
		if _, err := exec.LookPath(program.name); err != nil {
			missing = append(missing, fmt.Errorf("%s is missing: install package %s", program.name, program.pkg))
		}
	}
	if cniDir() == "" {
		missing = append(missing, fmt.Errorf("the CNI plugins are missing in all of %v: install package containernetworking-plugins", cniDirs()))
	}
	return missing
}

func cniDir() string {
	for _, dir := range cniDirs() {
		if info, err := os.Stat(filepath.Join(dir, "bridge")); err == nil && info.Mode().IsRegular() {
			return dir
		}
	}
	return ""
}
