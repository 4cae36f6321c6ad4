package fluxconfig

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// DerivedResources reports whether the resources in Flux's configuration (R) come
// from the spec: the number of cores, a CPU limit or a limit of devices. Then
// they are not what Flux sees on the node (it sees the CPU set, not the quota),
// and it must not compare: it would drain the node.
func DerivedResources(c *v1alpha2.MiniClusterContainer) bool {
	if c.Cores > 0 {
		return true
	}
	if c.Resources == nil {
		return false
	}
	for name, quantity := range c.Resources.Limits {
		// Devices are extended resources: nvidia.com/gpu.
		if (name == corev1.ResourceCPU || strings.Contains(string(name), "/")) && !quantity.IsZero() {
			return true
		}
	}
	return false
}

// resourcesPlan is what R says of a host: the number of cores that the spec states,
// else whole cores of the CPU limit, and the devices of the limits that are GPUs.
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
		request = c.Resources.Limits[corev1.ResourceCPU] // as the API server defaults it
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

// IsGPU reports whether a resource is one that device plugins give GPUs: of NVIDIA
// (nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-1g.5gb), AMD (amd.com/gpu),
// Intel (gpu.intel.com/i915, gpu.intel.com/xe) and Habana (habana.ai/gaudi), or a
// vendor's DOMAIN/gpu.
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
