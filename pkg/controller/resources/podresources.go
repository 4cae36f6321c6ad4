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

// podResources is the distribution of spec.pod.resources, the resources of a whole pod.
type podResources struct {
	// pod are resources at the pod level, where the server supports them.
	pod *corev1.ResourceRequirements
	// flux are requested by the Flux container on behalf of the pod.
	flux corev1.ResourceRequirements
	// unused have no effect.
	unused []corev1.ResourceName
}

// distributePodResources assigns each resource. CPU and memory are requested at the pod level if the server supports
// it and the containers do not request more. The Flux container requests everything else, unless it sets that
// resource itself. (flux-operator makes them the overhead of the pod, which Kubernetes rejects without a runtime
// class that has the same overhead.)
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

// applyPodResources sets the resources of a pod at the pod level.
func applyPodResources(spec *corev1.PodSpec, mc *v1alpha2.MiniCluster, env Environment) {
	resources := distributePodResources(mc, env)
	spec.Resources = resources.pod
	for i := range spec.Containers {
		if spec.Containers[i].Name == mc.Name {
			resources.merge(&spec.Containers[i].Resources)
		}
	}
}

// wholePod keeps a Guaranteed pod Guaranteed: with resources at the pod level, Kubernetes considers only these, and
// requires limits of both CPU and memory.
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

// guaranteed reports whether all containers of the spec request as much as their limits.
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

// fluxCanAsk reports whether the Flux container can request a resource on behalf of the pod.
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
	// Kubernetes allows huge pages only together with CPU or memory.
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

// add requests a resource. Devices and huge pages need limits.
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

// merge adds the resources that the Flux container requests on behalf of the pod.
func (p podResources) merge(into *corev1.ResourceRequirements) {
	for name, quantity := range p.flux.Requests {
		add(into, name, quantity)
	}
}

// containerRequests returns the requests of the containers of a pod together: the larger of the sum of usual
// containers and native sidecars, and of one of the controller's init containers.
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

// request returns the request of a container for a resource: its limit if it has no request.
func request(r corev1.ResourceRequirements, name corev1.ResourceName) resource.Quantity {
	if quantity, ok := r.Requests[name]; ok {
		return quantity
	}
	return r.Limits[name]
}
