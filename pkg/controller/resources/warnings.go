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
		warnTasks(mc, &mc.Spec.Containers[flux], add)
	}
	for i := range mc.Spec.Containers {
		c, path := &mc.Spec.Containers[i], field.NewPath("spec", "containers").Index(i)
		for j, port := range c.Ports {
			if port == v1alpha2.DefaultBrokerPort {
				add(path.Child("ports").Index(j), "%d is the port of the Flux broker of every pod: use another port", port)
			}
		}
		warnVolumes(mc, c, f, path, add)
		warnShell(c, path, add)
		if i == flux {
			warnDevices(c, path, add)
		}
	}
	warnBrokerConfig(mc, f, add)
	warnLabels(mc, f, add)
	if flux >= 0 {
		warnLogs(mc, &mc.Spec.Containers[flux], field.NewPath("spec", "containers").Index(flux), add)
	}
	return lines
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

// warnTasks compares the tasks with the cores of all pods, where the spec states both.
func warnTasks(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, add warn) {
	cores := int64(c.Cores)
	if cores == 0 && c.Resources != nil {
		if limit, ok := c.Resources.Limits[corev1.ResourceCPU]; ok && !limit.IsZero() {
			cores = max(1, limit.MilliValue()/1000)
		}
	}
	if cores == 0 || mc.Spec.Tasks == nil {
		return
	}
	size := int64(max(mc.RequestedSize(), mc.MinimumSize()))
	if tasks := int64(*mc.Spec.Tasks); tasks > size*cores {
		add(field.NewPath("spec", "tasks"), "%d tasks need more cores than %d pods of %d cores have: the job never starts", tasks, size, cores)
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
			described[name] = described[name] || volumeSource(&v) != nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Volumes)) {
		if !described[name] && !isClusterVolume(mc, name) {
			add(path.Child("volumes").Key(name), "is an empty directory, which is lost with the pod: set claimName for a PersistentVolumeClaim")
		}
	}
}

// bashism matches constructs of bash that sh does not support.
var bashism = regexp.MustCompile(`\[\[ |(^|[;&|({\n]\s*)source |\{\d+\.\.\d+\}|(^|[;&|({\n]\s*)function \w+|<<<|<\(|\$\{\w+(\[|\^\^|,,|//)|&>|(^|[;&|({\n]\s*)(shopt|declare|pushd|popd) `)

// warnShell adds constructs of bash in hooks and scripts.
func warnShell(c *v1alpha2.MiniClusterContainer, path *field.Path, add warn) {
	scripts := map[string]string{"preCommand": c.PreCommand}
	if h := c.Commands; h != nil {
		maps.Copy(scripts, map[string]string{
			"commands.init": h.Init, "commands.pre": h.Pre, "commands.brokerPre": h.BrokerPre, "commands.workerPre": h.WorkerPre,
			"commands.servicePre": h.ServicePre, "commands.post": h.Post, "commands.script": h.Script,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		if strings.HasPrefix(scripts[name], "#!") {
			continue
		}
		if match := strings.TrimSpace(strings.TrimLeft(bashism.FindString(scripts[name]), ";&|(\n \t")); match != "" {
			add(path.Child(name), "%q is a construct of bash: it fails where the image has no bash", match)
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
