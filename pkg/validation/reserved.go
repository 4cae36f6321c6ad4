package validation

import (
	"cmp"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// Names of containers and volumes that every pod has.
const (
	// AgentContainer is the init container that installs the agent.
	AgentContainer = "minicluster-agent"

	// SharedVolume is the volume that all containers of a pod share.
	SharedVolume = "minicluster-shared"
	// ConfigVolume is the ConfigMap.
	ConfigVolume = "minicluster-config"
	// CurveVolume is the Secret.
	CurveVolume = "minicluster-curve"
	// AgentVolume is the image of the agent, if it is mounted.
	AgentVolume = "minicluster-agent-image"
	// CurveCopyVolume is the directory of the brokers' copy of the certificate.
	CurveCopyVolume = "minicluster-curve-copy"
	// ViewImageVolume is the image of the view, if it is mounted.
	ViewImageVolume = "minicluster-view-image"
	// MemoryVolume is the shared memory of the Flux container.
	MemoryVolume = "minicluster-shm"
	// MungeVolume is the Secret with the MUNGE key.
	MungeVolume = "minicluster-munge"
	// StateVolume is the claim for the state of the lead broker.
	StateVolume = "minicluster-state"
)

// reserved holds the names and directories of the volumes that every pod has.
type reserved struct {
	names map[string]bool
	// everywhere are directories in all containers, flux those in the Flux container.
	everywhere, flux map[string]bool
}

// reservedBy returns the volumes that the pods of a MiniCluster need. It leaves out
// those that a user may replace: the shared memory, the state directory and the run
// directory.
func reservedBy(spec *v1alpha2.MiniClusterSpec) *reserved {
	r := &reserved{
		names: map[string]bool{
			SharedVolume: true, ConfigVolume: true, CurveVolume: true, CurveCopyVolume: true, AgentVolume: true,
			ViewImageVolume: true, MemoryVolume: true, MungeVolume: true, StateVolume: true,
		},
		everywhere: map[string]bool{plan.SharedDir: true, plan.ConfigDir: true, plan.AgentImageDir: true, plan.ViewImageDir: true},
		flux:       map[string]bool{plan.CertificateDir: true, plan.CurveDir: true},
	}
	if fluxconfig.LayoutOf(spec) == fluxconfig.LayoutView {
		r.names[viewName(spec)] = true
		r.everywhere[path.Clean(fluxconfig.MountPath(spec))] = true
	} else {
		for _, dir := range []string{"/etc/flux/config", "/etc/flux/system"} {
			r.flux[dir] = true
		}
	}
	if flux := spec.Flux; flux != nil {
		r.flux[plan.MungeDir] = flux.MungeSecret != ""
		r.flux[plan.StateVolumeDir] = flux.State != nil
	}
	return r
}

// check rejects a volume of a user that has a reserved name or directory.
func (r *reserved) check(name, dir string, runsFlux bool, path *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	var errs field.ErrorList
	if r.names[name] {
		errs = append(errs, invalidf(path, name, "is the name of a volume that every pod has: choose another name"))
	}
	if r.takes(dir, runsFlux) {
		errs = append(errs, invalidf(path.Child("path"), dir, "is reserved for files of Flux: choose another directory"))
	}
	return errs
}

func (r *reserved) takes(dir string, runsFlux bool) bool {
	dir = path.Clean(dir)
	return r.everywhere[dir] || runsFlux && r.flux[dir]
}

func viewName(spec *v1alpha2.MiniClusterSpec) string {
	if flux := spec.Flux; flux != nil && flux.Container != nil {
		return cmp.Or(flux.Container.Name, v1alpha2.DefaultViewName)
	}
	return v1alpha2.DefaultViewName
}

// hidesSystem reports whether a volume at a directory hides files without which the image of a container does not work.
func hidesSystem(dir string) bool {
	return slices.Contains([]string{"/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"}, dir)
}

// validateViewPlace rejects a name or a directory of the view that every pod needs
// for something else.
func validateViewPlace(mc *v1alpha2.MiniCluster, at *field.Path) field.ErrorList {
	if fluxconfig.LayoutOf(&mc.Spec) != fluxconfig.LayoutView || mc.Spec.Flux == nil || mc.Spec.Flux.Container == nil {
		return nil
	}
	var errs field.ErrorList
	// Without the directory of the view itself.
	system := mc.Spec.DeepCopy()
	system.Flux.InstallRoot = "/usr"
	others, name := reservedBy(system), viewName(&mc.Spec)
	if others.names[name] || name == AgentContainer || name == mc.Name {
		errs = append(errs, invalidf(at.Child("name"), name, "is the name of another container or volume of every pod: choose another name"))
	}
	dir := fluxconfig.MountPath(&mc.Spec)
	if clean := path.Clean(dir); others.takes(dir, true) || clean == sharedMemory || clean == plan.SoftwareDir || hidesSystem(clean) {
		errs = append(errs, invalidf(at.Child("mountPath"), dir, "is reserved in every pod: choose another directory"))
	}
	return errs
}
