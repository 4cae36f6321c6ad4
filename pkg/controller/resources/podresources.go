package resources

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// podResources is what becomes of spec.pod.resources, what a pod asks for as a whole.
type podResources struct {
	// pod are resources of the pod, where the server knows such.
	pod *corev1.ResourceRequirements
	// flux are what the Flux container asks for on behalf of the pod.
	flux corev1.ResourceRequirements
	// unused have no effect.
	unused []corev1.ResourceName
}

// distributePodResources decides about each resource. CPU and memory are requests of the
// pod, where the server has them and the containers don't ask for more; everything else
// the Flux container asks for, unless it says something about that resource itself.
// (flux-operator makes them the overhead of the pod, which no pod may have without a
// runtime class that says the same.)
func distributePodResources(mc *v1alpha2.MiniCluster, env Environment) podResources {
	var out podResources
	if mc.Spec.Pod == nil {
		return out
	}
	asked := mc.Spec.Pod.Resources
	whole := corev1.ResourceList{}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		quantity := asked[name]
		sum := containerRequests(mc, name)
		switch {
		case env.AtLeast(minorPodResources) && (name == corev1.ResourceCPU || name == corev1.ResourceMemory) &&
			!quantity.IsZero() && quantity.Cmp(sum) >= 0:
			whole[name] = quantity
		case fluxCanAsk(mc, name):
			add(&out.flux, name, quantity)
		default:
			out.unused = append(out.unused, name)
		}
	}
	if len(whole) > 0 {
		out.pod = wholePod(mc, whole)
	}
	return out
}

// applyPodResources makes a pod ask for what it asks for as a whole.
func applyPodResources(spec *corev1.PodSpec, mc *v1alpha2.MiniCluster, env Environment) {
	resources := distributePodResources(mc, env)
	spec.Resources = resources.pod
	for i := range spec.Containers {
		if spec.Containers[i].Name == mc.Name {
			resources.merge(&spec.Containers[i].Resources)
		}
	}
}

// wholePod keeps a Guaranteed pod Guaranteed: Kubernetes then looks at the resources of
// the pod only, and wants limits of both.
func wholePod(mc *v1alpha2.MiniCluster, requests corev1.ResourceList) *corev1.ResourceRequirements {
	if !guaranteed(mc) {
		return &corev1.ResourceRequirements{Requests: requests}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if _, ok := requests[name]; !ok {
			requests[name] = containerRequests(mc, name)
		}
	}
	return &corev1.ResourceRequirements{Requests: requests, Limits: requests.DeepCopy()}
}

// guaranteed reports whether all containers of the spec ask for all that they may use.
func guaranteed(mc *v1alpha2.MiniCluster) bool {
	for i := range mc.Spec.Containers {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			resources := requirements(&mc.Spec.Containers[i])
			limit, limited := resources.Limits[name]
			request, requested := resources.Requests[name]
			if !limited || limit.IsZero() || (requested && request.Cmp(limit) != 0) {
				return false
			}
		}
	}
	return true
}

// fluxCanAsk reports whether the Flux container can ask for a resource on behalf of the
// pod.
func fluxCanAsk(mc *v1alpha2.MiniCluster, name corev1.ResourceName) bool {
	i := mc.FluxContainerIndex()
	if i < 0 {
		return false
	}
	resources := requirements(&mc.Spec.Containers[i])
	_, requested := resources.Requests[name]
	_, limited := resources.Limits[name]
	if requested || limited {
		return false
	}
	// Huge pages go with CPU or memory only.
	return !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) || asksFor(resources, corev1.ResourceCPU, corev1.ResourceMemory)
}

func asksFor(resources corev1.ResourceRequirements, names ...corev1.ResourceName) bool {
	for _, list := range []corev1.ResourceList{resources.Requests, resources.Limits} {
		for _, name := range names {
			if _, ok := list[name]; ok {
				return true
			}
		}
	}
	return false
}

// add asks for a resource. Devices and huge pages have to have limits.
func add(to *corev1.ResourceRequirements, name corev1.ResourceName, quantity resource.Quantity) {
	if to.Requests == nil {
		to.Requests = corev1.ResourceList{}
	}
	to.Requests[name] = quantity
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return
	}
	if to.Limits == nil {
		to.Limits = corev1.ResourceList{}
	}
	to.Limits[name] = quantity
}

// merge adds what the Flux container asks for on behalf of the pod.
func (p podResources) merge(into *corev1.ResourceRequirements) {
	for name, quantity := range p.flux.Requests {
		add(into, name, quantity)
	}
}

// containerRequests is what the containers of a pod ask for together: as much as the
// usual ones and the native sidecars do, or one of our init containers.
func containerRequests(mc *v1alpha2.MiniCluster, name corev1.ResourceName) resource.Quantity {
	var sum resource.Quantity
	for i := range mc.Spec.Containers {
		sum.Add(request(requirements(&mc.Spec.Containers[i]), name))
	}
	inits := []corev1.ResourceRequirements{initResources(mc)}
	if r := view(mc).Resources; r != nil {
		inits = append(inits, *r)
	}
	for _, r := range inits {
		if one := request(r, name); one.Cmp(sum) > 0 {
			sum = one
		}
	}
	return sum
}

func requirements(c *v1alpha2.MiniClusterContainer) corev1.ResourceRequirements {
	return *cmp.Or(c.Resources, &corev1.ResourceRequirements{})
}

// request is what a container asks for: its limit, where it states no request.
func request(r corev1.ResourceRequirements, name corev1.ResourceName) resource.Quantity {
	if quantity, ok := r.Requests[name]; ok {
		return quantity
	}
	return r.Limits[name]
}
