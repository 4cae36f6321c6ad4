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
		if isGPU(name) {
			out.GPUs += int(quantity.Value())
		}
	}
	return out
}

// isGPU knows the names that device plugins give GPUs: nvidia.com/gpu,
// nvidia.com/mig-1g.5gb, amd.com/gpu, gpu.intel.com/i915.
func isGPU(name corev1.ResourceName) bool {
	domain, device, ok := strings.Cut(string(name), "/")
	return ok && (device == "gpu" || strings.HasPrefix(device, "mig-") || strings.HasPrefix(domain, "gpu."))
}
