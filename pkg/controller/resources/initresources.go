package resources

import (
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// initResources returns the resources of the controller's init containers: the requests and limits of the Flux
// container for the resources that every container uses. A pod requests the larger of what its init containers and
// its containers request, so the init containers cost nothing. A Guaranteed pod stays Guaranteed. The init containers
// satisfy the ResourceQuotas and LimitRanges (minimum, maximum, ratio) that the Flux container satisfies.
func initResources(mc *v1alpha2.MiniCluster) corev1.ResourceRequirements {
	i := mc.FluxContainerIndex()
	if i < 0 || mc.Spec.Containers[i].Resources == nil {
		return corev1.ResourceRequirements{}
	}
	flux := mc.Spec.Containers[i].Resources
	return corev1.ResourceRequirements{Requests: sharedResources(flux.Requests), Limits: sharedResources(flux.Limits)}
}

// sharedResources returns the resources of a list that every container uses: no
// devices and no huge pages.
func sharedResources(list corev1.ResourceList) corev1.ResourceList {
	var shared corev1.ResourceList
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		quantity, ok := list[name]
		if !ok {
			continue
		}
		if shared == nil {
			shared = corev1.ResourceList{}
		}
		shared[name] = quantity.DeepCopy()
	}
	return shared
}
