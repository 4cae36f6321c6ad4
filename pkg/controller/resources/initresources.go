package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// initResources are those of our init containers: what the Flux container asks for,
// as request and as limit. It costs nothing, since a pod needs the larger of what its
// init containers and its containers need; a pod that is Guaranteed stays so; and the
// quota or the limit range of a namespace is satisfied, as it is by the Flux container.
// With very little, copying a program would take seconds, or end for lack of memory.
func initResources(mc *v1alpha2.MiniCluster) corev1.ResourceRequirements {
	i := mc.FluxContainerIndex()
	if i < 0 || mc.Spec.Containers[i].Resources == nil {
		return corev1.ResourceRequirements{}
	}
	flux := mc.Spec.Containers[i].Resources
	list := corev1.ResourceList{}
	for name, least := range map[corev1.ResourceName]resource.Quantity{
		corev1.ResourceCPU:    resource.MustParse("100m"),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	} {
		asked, ok := flux.Requests[name]
		if !ok {
			asked, ok = flux.Limits[name]
		}
		switch {
		case !ok:
			continue
		case asked.Cmp(least) < 0:
			list[name] = least
		default:
			list[name] = asked
		}
	}
	if len(list) == 0 {
		return corev1.ResourceRequirements{}
	}
	return corev1.ResourceRequirements{Requests: list, Limits: list.DeepCopy()}
}
