package fluxconfig

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// DerivedResources reports whether the resources in Flux's configuration (R) come from the spec: the number of cores,
// a CPU limit or a limit of devices. They then differ from what Flux detects on the node (the CPU set, not the
// quota). Flux must not compare them, since it would drain the node.
func DerivedResources(c *v1alpha2.MiniClusterContainer) bool {
	if c.Cores > 0 {
		return true
	}
	if c.Resources == nil {
		return false
	}
	for name, quantity := range c.Resources.Limits {
		// Devices are extended resources, such as nvidia.com/gpu.
		if (name == corev1.ResourceCPU || strings.Contains(string(name), "/")) && !quantity.IsZero() {
			return true
		}
	}
	return false
}

// resourcesPlan returns the resources of a host in R: the number of cores in the spec, or else whole cores of the CPU
// limit, and the GPUs in the limits.
func resourcesPlan(c *v1alpha2.MiniClusterContainer) plan.Resources {
	out := plan.Resources{Cores: int(c.Cores)}
	if c.Resources == nil {
		return out
	}
	if cpu, ok := c.Resources.Limits[corev1.ResourceCPU]; ok && out.Cores == 0 && !cpu.IsZero() {
		out.Cores = max(1, int(cpu.MilliValue()/1000))
	}
	request, ok := c.Resources.Requests[corev1.ResourceCPU]
	if !ok {
		request = c.Resources.Limits[corev1.ResourceCPU] // like the default of the API server
	}
	out.RequestedMilliCPU = request.MilliValue()
	for name, quantity := range c.Resources.Limits {
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

// IsGPU reports whether a resource is a GPU: of NVIDIA (nvidia.com/gpu, nvidia.com/gpu.shared,
// nvidia.com/mig-1g.5gb), AMD (amd.com/gpu), Intel (gpu.intel.com/i915, gpu.intel.com/xe) or Habana
// (habana.ai/gaudi), or DOMAIN/gpu of any vendor.
func IsGPU(name corev1.ResourceName) bool {
	domain, device, ok := strings.Cut(string(name), "/")
	if !ok {
		return false
	}
	device = strings.TrimSuffix(device, ".shared")
	switch domain {
	case "nvidia.com":
		return device == "gpu" || strings.HasPrefix(device, "mig-")
	case "gpu.intel.com":
		return device == "i915" || device == "xe"
	case "habana.ai":
		return device == "gaudi" || device == "goya"
	}
	return device == "gpu"
}
