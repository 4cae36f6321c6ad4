package fluxconfig

import (
	"maps"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// DerivedResources reports whether the resources in Flux's configuration (R) come from the spec: the number of cores,
// a CPU limit or a limit of devices. They then differ from what Flux detects on the node (the CPU set, not the
// quota). Flux must not compare them, since it would drain the node.
func DerivedResources(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer) bool {
	if c.Cores > 0 {
		return true
	}
	for name, quantity := range fluxLimits(mc, c) {
		// Devices are extended resources, such as nvidia.com/gpu.
		if (name == corev1.ResourceCPU || strings.Contains(string(name), "/")) && !quantity.IsZero() {
			return true
		}
	}
	return false
}

// fluxLimits returns the limits of the Flux container: its own, and the devices that it requests on behalf of its pod
// (spec.pod.resources).
func fluxLimits(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer) corev1.ResourceList {
	limits := corev1.ResourceList{}
	if mc.Spec.Pod != nil {
		for name, quantity := range mc.Spec.Pod.Resources {
			if strings.Contains(string(name), "/") {
				limits[name] = quantity
			}
		}
	}
	if c.Resources != nil {
		maps.Copy(limits, c.Resources.Limits)
	}
	return limits
}

// HostResources returns the resources of a host in R: the number of cores in the spec, or else whole cores of the CPU
// limit, and the GPUs in the limits.
func HostResources(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer) plan.Resources {
	out := plan.Resources{Cores: int(c.Cores)}
	limits := fluxLimits(mc, c)
	if cpu, ok := limits[corev1.ResourceCPU]; ok && out.Cores == 0 && !cpu.IsZero() {
		out.Cores = max(1, int(cpu.MilliValue()/1000))
	}
	request := limits[corev1.ResourceCPU] // like the default of the API server
	if c.Resources != nil {
		if asked, ok := c.Resources.Requests[corev1.ResourceCPU]; ok {
			request = asked
		}
	}
	out.RequestedMilliCPU = request.MilliValue()
	for name, quantity := range limits {
		if IsGPU(name) {
			out.GPUs += int(min(max(quantity.Value(), 0), maxGPUs))
		}
	}
	out.GPUs = min(out.GPUs, maxGPUs)
	return out
}

// maxGPUs bounds the number of GPUs of a host, so that a typing error does not make the
// resource set of Flux too large to load.
const maxGPUs = 1024

// partition matches the names of the partitions of AMD's GPUs: the modes of computing and of memory.
var partition = regexp.MustCompile(`^(spx|dpx|tpx|qpx|cpx)_nps\d+$`)

// IsGPU reports whether a resource is a GPU: of NVIDIA (nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/gpu-MODEL,
// nvidia.com/mig-1g.5gb), AMD (amd.com/gpu, amd.com/cpx_nps4), Intel (gpu.intel.com/i915, gpu.intel.com/xe) or Habana
// (habana.ai/gaudi), or DOMAIN/gpu or DOMAIN/vgpu of any vendor. Amounts of a GPU, such as nvidia.com/gpumem, are none.
func IsGPU(name corev1.ResourceName) bool {
	domain, device, ok := strings.Cut(string(name), "/")
	if !ok {
		return false
	}
	switch device = strings.TrimSuffix(device, ".shared"); domain {
	case "nvidia.com":
		if model, ok := strings.CutPrefix(device, "gpu-"); ok {
			return !strings.HasPrefix(model, "mem") && !strings.HasPrefix(model, "core")
		}
		if strings.HasPrefix(device, "mig-") {
			return true
		}
	case "amd.com":
		if partition.MatchString(device) {
			return true
		}
	case "gpu.intel.com":
		return device == "i915" || device == "xe"
	case "habana.ai":
		return device == "gaudi" || device == "goya"
	}
	return device == "gpu" || device == "vgpu"
}
