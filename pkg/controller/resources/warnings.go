package resources

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// Warnings returns parts of a MiniCluster that are valid but most likely not intended, each with the field and the
// reason.
func Warnings(mc *v1alpha2.MiniCluster, f Fixed) []string {
	var lines []string
	add := func(path *field.Path, format string, args ...any) {
		lines = append(lines, path.String()+": "+fmt.Sprintf(format, args...))
	}
	flux := mc.FluxContainerIndex()
	if mc.Spec.Opportunistic != nil && !requestsAny(mc) {
		add(field.NewPath("spec", "opportunistic"),
			"the pods request neither CPU nor memory, so that the cluster grows to its maximum: set resources.requests of a container")
	}
	warnAutoscaling(mc, f, add)
	if flux >= 0 {
		warnTasks(mc, f, &mc.Spec.Containers[flux], add)
	}
	warnPorts(mc.Spec.Containers, field.NewPath("spec", "containers"), map[int32]string{v1alpha2.DefaultBrokerPort: "the Flux broker of every pod"}, add)
	warnPorts(mc.Spec.Services, field.NewPath("spec", "services"), map[int32]string{}, add)
	if mc.Spec.Size != nil && *mc.Spec.Size == 0 && !mc.ScalesToZero() {
		add(field.NewPath("spec", "size"), "0 is below the minimum: the controller sets it to %d", mc.LowerBound(f.Maximum))
	}
	for i := range mc.Spec.Containers {
		c, path := &mc.Spec.Containers[i], field.NewPath("spec", "containers").Index(i)
		warnContainer(c, path, add)
		warnVolumes(mc, c, f, path, add)
		warnShell(mc, c, path, add)
		if i != flux && len(c.Ports) > 0 && c.Name == f.Headless {
			add(path.Child("name"), "the Service of a sidecar with ports has its name, which the headless Service has: change it or spec.network.headlessName")
		}
		if i == flux {
			warnDevices(c, path, add)
			warnKeptFiles(mc, c, add)
		}
	}
	for i := range mc.Spec.Services {
		c, path := &mc.Spec.Services[i], field.NewPath("spec", "services").Index(i)
		warnContainer(c, path, add)
		warnServiceCommand(c.Command, path.Child("command"), add)
	}
	for _, name := range slices.Sorted(maps.Keys(mc.Spec.Volumes)) {
		if volume := mc.Spec.Volumes[name]; volume.StorageClass == StorageHostPath {
			warnNodeDir(volume.Path, field.NewPath("spec", "volumes").Key(name).Child("path"), add)
		}
	}
	warnFlux(mc, f, add)
	warnBrokerConfig(mc, f, add)
	warnLabels(mc, f, add)
	if flux >= 0 {
		warnLogs(mc, &mc.Spec.Containers[flux], field.NewPath("spec", "containers").Index(flux), add)
	}
	return lines
}

// warnFlux adds settings of spec.flux with which the brokers do not start.
func warnFlux(mc *v1alpha2.MiniCluster, f Fixed, add warn) {
	flux := mc.Spec.Flux
	if flux == nil {
		return
	}
	at := field.NewPath("spec", "flux")
	if strings.ContainsAny(strings.TrimSpace(flux.Wrap), " \t\n") {
		add(at.Child("wrap"), "contains blanks, and the whole text is the name of a program: separate the arguments with commas, for example strace,-f")
	}
	if flux.Container != nil && bringsView(mc, f) {
		warnImage(flux.Container.Image, at.Child("container", "image"), add)
		warnWorkingDir(flux.Container.WorkingDir, at.Child("container", "workingDir"), add)
	}
}

// warnAutoscaling warns about an autoscaler whose sizes the bounds of the cluster do not allow.
func warnAutoscaling(mc *v1alpha2.MiniCluster, f Fixed, add func(*field.Path, string, ...any)) {
	a := mc.Spec.Autoscaling
	if a == nil {
		return
	}
	path := field.NewPath("spec", "autoscaling")
	minimum := max(a.MinSize, mc.LowerBound(f.Maximum))
	switch {
	case a.MaxSize > f.Maximum:
		add(path.Child("maxSize"), "the maximum of the cluster is %d: set spec.maxSize to %d", f.Maximum, a.MaxSize)
	case mc.ScalesToZero():
	case minimum >= f.Maximum:
		add(path, "the size cannot change, because the minimum and the maximum of the cluster are %d: set spec.maxSize", f.Maximum)
	case a.MaxSize > 0 && minimum >= a.MaxSize:
		add(path.Child("maxSize"), "the size cannot change, because the minimum is %d: set a larger maxSize", minimum)
	}
}

// requestsAny reports whether a container requests CPU or memory.
func requestsAny(mc *v1alpha2.MiniCluster) bool {
	if p := mc.Spec.Pod; p != nil && (!p.Resources.Cpu().IsZero() || !p.Resources.Memory().IsZero()) {
		return true
	}
	return slices.ContainsFunc(mc.Spec.Containers, func(c v1alpha2.MiniClusterContainer) bool {
		if c.Resources == nil {
			return false
		}
		for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
			if !list.Cpu().IsZero() || !list.Memory().IsZero() {
				return true
			}
		}
		return false
	})
}

type warn func(path *field.Path, format string, args ...any)

// warnLabels adds labels of pods that have another value than in the spec.
func warnLabels(mc *v1alpha2.MiniCluster, f Fixed, add warn) {
	if mc.Spec.Pod == nil {
		return
	}
	labels := podLabels(mc, f)
	for _, name := range slices.Sorted(maps.Keys(mc.Spec.Pod.Labels)) {
		if labels[name] != mc.Spec.Pod.Labels[name] {
			add(field.NewPath("spec", "pod", "labels").Key(name),
				"pods have the value %q: selectors of autoscalers, Services and disruption budgets depend on it; use another label", labels[name])
		}
	}
}

// warnLogs adds a directory for the output of batch jobs that the user of the container may not be able to make.
func warnLogs(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, path *field.Path, add warn) {
	if !c.Batch || c.Logs == "" || !neverRoot(mc, c) || strings.HasPrefix(c.Logs, "/tmp/") {
		return
	}
	for _, mount := range userMounts(c) {
		if c.Logs == mount.MountPath || strings.HasPrefix(c.Logs, strings.TrimSuffix(mount.MountPath, "/")+"/") {
			return
		}
	}
	add(path.Child("logs"), "the container does not run as root: the cluster fails unless the image has the directory, writable for its user; use a directory of a volume")
}

// neverRoot reports whether the spec says that a container does not run as root.
func neverRoot(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer) bool {
	if nonRoot(mc) {
		return true
	}
	if s := c.SecurityContext; s != nil && s.RunAsUser != nil {
		return *s.RunAsUser != 0
	}
	pod := mc.Spec.Pod
	return pod != nil && pod.SecurityContext != nil && pod.SecurityContext.RunAsUser != nil && *pod.SecurityContext.RunAsUser != 0
}

// warnPorts adds ports that two containers of a pod use. owners are the users of ports so far.
func warnPorts(containers []v1alpha2.MiniClusterContainer, path *field.Path, owners map[int32]string, add warn) {
	for i := range containers {
		for j, port := range containers[i].Ports {
			at := path.Index(i).Child("ports").Index(j)
			if owner, ok := owners[port]; ok {
				add(at, "%d is the port of %s: use another port", port, owner)
				continue
			}
			owners[port] = at.String() + ", and containers of a pod share their ports"
		}
	}
}

// warnVolumes adds volumes that are empty directories because they have no source.
func warnVolumes(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, f Fixed, path *field.Path, add warn) {
	if f.Layout != fluxconfig.LayoutView {
		return
	}
	described := map[string]bool{}
	for i := range mc.Spec.Containers {
		for name, v := range volumesOf(&mc.Spec.Containers[i]) {
			// A user who sets the medium or the size of an empty directory knows what it is.
			described[name] = described[name] || volumeSource(&v) != nil || v.EmptyDirMedium != "" || v.EmptyDirSizeLimit != ""
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Volumes)) {
		if !described[name] && !isClusterVolume(mc, name) {
			add(path.Child("volumes").Key(name), "is an empty directory, which is lost with the pod: set claimName for a PersistentVolumeClaim")
		}
	}
}

// warnDevices adds extended resources that Flux does not schedule.
func warnDevices(c *v1alpha2.MiniClusterContainer, path *field.Path, add warn) {
	if c.Resources == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resources.Limits)) {
		if strings.Contains(string(name), "/") && !fluxconfig.IsGPU(name) {
			add(path.Child("resources", "limits").Key(string(name)), "is not a GPU that Flux knows: jobs can use it, but cannot request it")
		}
	}
}

// incumbentPath matches paths of flux-operator's layouts in a broker.toml.
var incumbentPath = regexp.MustCompile(`/(mnt/flux/(view/)?(curve|etc/flux|run/flux|var/lib/flux)|mnt/curve|etc/curve|flux_operator)[^\s"']*`)

// warnBrokerConfig adds paths of flux-operator's layouts in spec.flux.brokerConfig.
func warnBrokerConfig(mc *v1alpha2.MiniCluster, f Fixed, add warn) {
	if mc.Spec.Flux == nil || mc.Spec.Flux.BrokerConfig == "" {
		return
	}
	files := fluxconfig.Paths(f.Layout, fluxconfig.MountPath(&mc.Spec))
	ours := []string{files.CurveCert, files.R, files.RunDir, files.StateDir, files.ConfigDir}
	seen := map[string]bool{}
	for _, found := range incumbentPath.FindAllString(mc.Spec.Flux.BrokerConfig, -1) {
		if seen[found] || slices.ContainsFunc(ours, func(dir string) bool { return strings.HasPrefix(found, dir) }) {
			continue
		}
		seen[found] = true
		use := "files of Flux are in " + files.ConfigDir
		switch {
		case strings.HasSuffix(found, "curve.cert"):
			use = "use " + files.CurveCert
		case strings.HasSuffix(found, "/R"):
			use = "use " + files.R
		}
		add(field.NewPath("spec", "flux", "brokerConfig"), "%s does not exist in this layout: %s", found, use)
	}
}
