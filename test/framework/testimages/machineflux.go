package testimages

import (
	"os/exec"
	"path/filepath"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// MachineFlux describes the Flux that is installed on this machine: its prefix, and the directories that containers
// with the image Flux mount to run it, since it needs libraries and Python. ok is false if there is none on PATH.
func MachineFlux() (root string, volumes map[string]v1alpha2.ContainerVolume, ok bool) {
	path, err := exec.LookPath("flux")
	if err != nil {
		return "", nil, false
	}
	root = filepath.Dir(filepath.Dir(path))
	volumes = map[string]v1alpha2.ContainerVolume{}
	for name, dir := range map[string]string{"flux": root, "usr": "/usr", "lib": "/lib", "lib64": "/lib64"} {
		if actual, err := filepath.EvalSymlinks(dir); err == nil {
			volumes[name] = v1alpha2.ContainerVolume{Path: dir, HostPath: actual, ReadOnly: true}
		}
	}
	return root, volumes, true
}
