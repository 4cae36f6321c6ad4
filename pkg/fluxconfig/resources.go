package fluxconfig

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// DerivedResources tells whether the resources that Flux is told of (R) come
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
