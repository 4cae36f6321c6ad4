package capacity

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// podRecord contains the fields of a pod that this package needs. It replaces the pod in the cache of an informer,
// which may contain very many.
type podRecord struct {
	// ObjectMeta has only the name, the namespace, the UID, the time of creation and the resource version, and the
	// labels if the watcher keeps them.
	metav1.ObjectMeta
	// Ended is set if the pod has succeeded or failed, and therefore holds no resources.
	Ended bool
	// Node on which the pod is scheduled; "" if it is pending.
	Node string
	// Job that controls the pod, or "".
	Job string
	// Elastic is set on pods of a MiniCluster, whose number follows the free capacity.
	Elastic bool
	// Index is the completion index of a pod of an Indexed Job, which is the rank in a MiniCluster.
	Index int64
	// Stopping is set if the pod is being deleted.
	Stopping bool
	// Rejected is set if the scheduler has tried to place the pod and found no node.
	Rejected bool
	// Priority of the pod.
	Priority int32
	// Requests of the pod, which counts itself as one of Pods.
	Requests Resources
	// Placement is nil if the pod is scheduled.
	Placement *placement

	// shape is set if the pod is pending.
	shape podShape
}

// podShape is a digest of everything that matters of a pending pod, except for its name.
type podShape [sha256.Size]byte

// placement determines on which nodes a pod may run.
type placement struct {
	// Nominated is the node on which the scheduler preempts other pods for this one, or "".
	Nominated string
	// Gated is set if the scheduler does not consider the pod, because of a scheduling gate or because it is being
	// deleted.
	Gated bool

	// constrained is set if the pod has a node selector or a node affinity.
	constrained bool
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
	key         placementKey
}

// placementKey is equal for placements that allow the same nodes.
type placementKey [sha256.Size]byte

func newPodRecord(pod *corev1.Pod) *podRecord {
	p := &podRecord{
		ObjectMeta: identity(&pod.ObjectMeta),
		Ended:      pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,
		Node:       pod.Spec.NodeName,
		Job:        controllingJob(pod),
		Stopping:   pod.DeletionTimestamp != nil,
		Elastic:    pod.Labels[v1alpha2.LabelHPASelector] != "",
		Requests:   podRequests(pod),
	}
	p.CreationTimestamp = pod.CreationTimestamp
	// Users can change annotations, so an invalid index counts as 0.
	if index, err := strconv.ParseUint(pod.Annotations[batchv1.JobCompletionIndexAnnotation], 10, 31); err == nil {
		p.Index = int64(index) //nolint:gosec // 31 bits
	}
	if pod.Spec.Priority != nil {
		p.Priority = *pod.Spec.Priority
	}
	if p.Node == "" {
		p.Rejected = rejected(pod)
		p.Placement = newPlacement(&pod.Spec)
		p.Placement.Nominated = pod.Status.NominatedNodeName
		p.Placement.Gated = p.Placement.Gated || pod.DeletionTimestamp != nil
		p.shape = p.digest()
	}
	return p
}

// rejected reports whether the scheduler has tried to place a pod and found no node.
func rejected(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
}

// digest returns the shape of a pending pod.
func (p *podRecord) digest() podShape {
	text := sha256.New()
	fmt.Fprintf(text, "%s/%s %t %t %d %s %x", p.Namespace, p.Job, p.Elastic, p.Rejected, p.Priority, p.Placement.Nominated, p.Placement.key)
	p.Requests.write(text)
	return podShape(text.Sum(nil))
}

// write writes a unique representation.
func (r *Resources) write(to hash.Hash) {
	fmt.Fprintf(to, " %d %d %d", r.CPU, r.Memory, r.Pods)
	for _, name := range slices.Sorted(maps.Keys(r.Other)) {
		fmt.Fprintf(to, " %s=%d", name, r.Other[name])
	}
}

// podRequests returns the requests of a pod as the scheduler computes them: the maximum of its containers and its init
// containers, including native sidecars, or its pod-level requests; its overhead; and during an in-place resize the
// maximum of the current and the new requests.
func podRequests(pod *corev1.Pod) Resources {
	// Older servers leave these fields unset, so all of them can be enabled.
	r := fromList(resource.PodRequests(pod, resource.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
		UseDRANodeAllocatableResourceClaimStatus:       true,
	}))
	r.Pods = 1
	return r
}

// newPlacement returns the placement of a pod spec.
func newPlacement(spec *corev1.PodSpec) *placement {
	p := &placement{
		Gated:       len(spec.SchedulingGates) > 0,
		constrained: len(spec.NodeSelector) > 0 || spec.Affinity != nil && spec.Affinity.NodeAffinity != nil,
		affinity:    nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, spec.Affinity),
		tolerations: slices.Clone(spec.Tolerations),
	}
	var required *corev1.NodeSelector
	if spec.Affinity != nil && spec.Affinity.NodeAffinity != nil {
		required = spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	text := sha256.New()
	// Encoding these types does not fail, and writing to a hash neither.
	_ = json.NewEncoder(text).Encode([]any{spec.NodeSelector, required, spec.Tolerations})
	p.key = placementKey(text.Sum(nil))
	return p
}

func controllingJob(pod *corev1.Pod) string {
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "Job" {
		return owner.Name
	}
	return ""
}

// identity returns the metadata that an informer needs.
func identity(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion}
}

func (p *podRecord) key() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

// owner returns the Job that controls the pod.
func (p *podRecord) owner() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Job}
}
