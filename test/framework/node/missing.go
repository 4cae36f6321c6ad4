package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// cniDirs are where distributions and the project itself install the plugins; the first one that has them is used.
func cniDirs() []string { return []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} }

// Missing says what a node lacks on this machine, each with what to do about it. It is empty where a node can be
// started.
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
			missing = append(missing, fmt.Errorf("there is no %s: install package %s", program.name, program.pkg))
		}
	}
	if cniDir() == "" {
		missing = append(missing, fmt.Errorf("there are no CNI plugins in any of %v: install package containernetworking-plugins", cniDirs()))
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
