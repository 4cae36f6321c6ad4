package capacity

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Pod is what has to be known of a pod that holds resources or waits for some. It
// stands in for the pod in an informer's cache, where there may be very many.
type Pod struct {
	// ObjectMeta has the name, the namespace, the UID and the resource version, the labels
	// only if a Watcher is to keep them, and nothing else.
	metav1.ObjectMeta
	// Ended tells that its containers have ended for good, so that it holds nothing.
	Ended bool
	// Node is where the pod is bound; "" while it waits.
	Node string
	// Job is the name of the Job that controls the pod; "" if none does.
	Job string
	// Elastic tells that it is one of a MiniCluster's pods, whose number follows what is
	// free.
	Elastic bool
	// Priority among waiting pods.
	Priority int32
	// Requests are what it holds, with itself as one of Pods.
	Requests Resources
	// Placement says where it may go; nil once it is bound.
	Placement *Placement
}

// Placement is what decides which nodes a pod may be on.
type Placement struct {
	// Nominated is the node on which room is being made for it; "" for none.
	Nominated string
	// Gated tells that the scheduler does not take it: somebody still holds it back, or it is
	// being deleted.
	Gated bool

	// choosy tells that the pod says something about nodes.
	choosy      bool
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
}

// NewPod makes the record of a pod.
func NewPod(pod *corev1.Pod) *Pod {
	p := &Pod{
		ObjectMeta: identity(&pod.ObjectMeta),
		Ended:      pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,
		Node:       pod.Spec.NodeName,
		Job:        controllingJob(pod),
		Elastic:    pod.Labels[v1alpha2.LabelHPASelector] != "",
		Requests:   PodRequests(pod),
	}
	if pod.Spec.Priority != nil {
		p.Priority = *pod.Spec.Priority
	}
	if p.Node == "" {
		p.Placement = NewPlacement(&pod.Spec)
		p.Placement.Nominated = pod.Status.NominatedNodeName
		p.Placement.Gated = p.Placement.Gated || pod.DeletionTimestamp != nil
	}
	return p
}

// PodRequests are what a pod holds by the scheduler's arithmetic: the larger of what its
// containers and its init containers need, native sidecars with both, what it asks for as
// a whole, its overhead; while it is resized in place, the larger of what it has and
// what it is to get.
func PodRequests(pod *corev1.Pod) Resources {
	// Servers that don't know one of these leave the fields unset, so they can always be
	// looked at.
	r := FromList(resource.PodRequests(pod, resource.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
		UseDRANodeAllocatableResourceClaimStatus:       true,
	}))
	r.Pods = 1
	return r
}

// NewPlacement is what the spec of a pod says about nodes.
func NewPlacement(spec *corev1.PodSpec) *Placement {
	return &Placement{
		Gated:       len(spec.SchedulingGates) > 0,
		choosy:      len(spec.NodeSelector) > 0 || spec.Affinity != nil && spec.Affinity.NodeAffinity != nil,
		affinity:    nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, spec.Affinity),
		tolerations: slices.Clone(spec.Tolerations),
	}
}

func controllingJob(pod *corev1.Pod) string {
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "Job" {
		return owner.Name
	}
	return ""
}

// identity is what an informer needs to know of an object.
func identity(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion}
}

func (p *Pod) key() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

// owner is the Job that controls the pod.
func (p *Pod) owner() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Job}
}
