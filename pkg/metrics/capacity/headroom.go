package capacity

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
)

// workload describes the pods of one Job, which are all alike, and whose number follows the free capacity.
type workload struct {
	// Job that controls the pods.
	Job types.NamespacedName
	// Requests of a pod according to the template. If existing pods request more, for example because of the
	// defaults of their namespace, that counts.
	Requests Resources
	// Placement of the pods.
	Placement *placement
	// Priority of the pods according to the template. That of existing pods takes precedence.
	Priority int32
	// Reserve is the capacity that the workload leaves free, ReserveText its source.
	Reserve     reserve.Reserve
	ReserveText string
	// Opportunistic is set if the workload is an opportunistic MiniCluster.
	Opportunistic bool
	// Suspended is set if the Job has no pods because it is suspended.
	Suspended bool
}

// headroom is the capacity of the nodes on which the pods of a workload may run.
type headroom struct {
	// Nodes is the number of these nodes.
	Nodes int
	// Capacity and Allocatable are sums over these nodes.
	Capacity, Allocatable Resources
	// Requests of all other pods on these nodes, including pending pods that take precedence.
	Requests Resources
	// Reserved is the capacity that the workload leaves free.
	Reserved Resources
	// Remaining is what the workload can use, including what it uses now. It is negative if other pods use a part
	// of the reserve.
	Remaining Resources
	// Fitting is the number of pods that fit, including existing ones: whole pods per node, minus the reserve in
	// total.
	Fitting int64
	// Uncounted are resources of its pods that no node has, such as extended resources from dynamic resource
	// allocation. If there are any, Fitting is unknown.
	Uncounted []corev1.ResourceName
	// Names are the resources of all nodes.
	Names []corev1.ResourceName
}

// headroomKey identifies a workload. Each version of its Job has its own placement.
type headroomKey struct {
	job           types.NamespacedName
	placement     *placement
	reserve       string
	opportunistic bool
}

// headroom returns the headroom of a workload. Pods of opportunistic MiniClusters above their minimum do not count for
// other workloads, because these take precedence.
//
// Pending pods of others count as if they were running on a node where they would fit if the workload made room:
// otherwise they would stay pending in a full cluster. That does not apply to pods that fit on no node, that have
// a lower priority than the workload, or that have the same priority and belong to a MiniCluster, because two
// MiniClusters of the same priority must not displace one another.
func (s *snapshot) headroom(w *workload) *headroom {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := headroomKey{w.Job, w.Placement, w.ReserveText, w.Opportunistic}
	found := s.headroomsOf[key]
	if found == nil {
		found = s.computeHeadroom(w)
		s.headroomsOf[key] = found
	}
	return found
}

// computeHeadroom starts with the results that all workloads with the same placement and the same requests share, and
// corrects them for the nodes with pods of the workload or with admitted pending pods.
func (s *snapshot) computeHeadroom(w *workload) *headroom {
	requests, priority, own := s.podsOf(w)
	y := s.yieldTo(w, priority)
	free := s.admitPending(w, priority, own, y)
	feasible := s.feasibleFor(w.Placement)
	needs := s.needs(&requests)
	fit := s.fitOf(w.Placement, needs, y)

	remaining, fitting := slices.Clone(s.freeOn(feasible, y)), fit.total
	changed := maps.Clone(free)
	for i := range own {
		if changed[i] == nil {
			changed[i] = s.free(y, i)
		}
	}
	for i, now := range changed {
		if !feasible.nodes.Has(i) {
			continue
		}
		now = slices.Clone(now)
		if own[i] != nil {
			now.Plus(own[i])
		}
		fitting += now.TimesFit(needs) - fit.nodes[i]
		for k, n := range s.free(y, i) {
			remaining[k] += now[k] - n
		}
	}
	h := &headroom{
		Names: s.resources, Uncounted: s.uncounted(w), Nodes: feasible.count, Fitting: fitting,
		Capacity: s.toResources(feasible.capacity), Allocatable: s.toResources(feasible.allocatable), Remaining: s.toResources(remaining),
	}
	h.Requests = h.Allocatable.Clone()
	h.Requests.Sub(&h.Remaining)
	h.subtractReserve(w.Reserve, &requests)
	return h
}

// subtractReserve reduces what remains by a reserve. Of what the pods request, it also reduces how many fit.
func (h *headroom) subtractReserve(r reserve.Reserve, requests *Resources) {
	for name, share := range r {
		h.Reserved.Set(name, share.Of(h.Allocatable.Get(name)))
	}
	h.Remaining.Sub(&h.Reserved)
	for name := range r {
		if n := requests.Get(name); n > 0 {
			h.Fitting = min(h.Fitting, max(0, h.Remaining.Get(name))/n)
		}
	}
}

// uncounted returns the resources of running pods of a workload that no node has.
func (s *snapshot) uncounted(w *workload) []corev1.ResourceName {
	found := map[corev1.ResourceName]bool{}
	for _, p := range s.jobs[w.Job] {
		for name := range p.Requests.Other {
			if _, known := s.index[name]; !known && p.Node != "" {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// podsOf returns the requests of a pod of a workload, its priority, and what its pods request on each node.
func (s *snapshot) podsOf(w *workload) (requests Resources, priority int32, own map[int]vector) {
	requests, priority, own = w.Requests.Clone(), w.Priority, map[int]vector{}
	for n, p := range s.jobs[w.Job] {
		requests.raise(&p.Requests)
		if n == 0 || p.Priority > priority {
			priority = p.Priority
		}
		i, known := s.byName[p.Node]
		if !known {
			continue
		}
		if own[i] == nil {
			own[i] = make(vector, len(s.resources))
		}
		s.add(own[i], &p.Requests, 1)
	}
	return requests, priority, own
}

// admitPending places the pending pods that take precedence over a workload: where resources are free if possible,
// otherwise where the workload would have to make room. It returns what is then free on the nodes that it used.
func (s *snapshot) admitPending(w *workload, priority int32, own map[int]vector, y yield) map[int]vector {
	free := map[int]vector{}
	take := func(i int, p *pendingPods, count int64) {
		if free[i] == nil {
			free[i] = slices.Clone(s.free(y, i))
		}
		free[i].Minus(p.needs, count)
	}
	ownNodes := slices.Sorted(maps.Keys(own))
	for _, p := range s.pending {
		if p.pod.owner() == w.Job || !p.pod.precedes(priority) {
			continue
		}
		if i, nominated := s.byName[p.pod.Placement.Nominated]; nominated {
			take(i, p, p.count)
			continue
		}
		left := p.count
		for i := range s.candidatesOf(p, y).All() {
			if left == 0 {
				break
			}
			now := s.free(y, i)
			if free[i] != nil {
				now = free[i]
			}
			if n := min(left, now.TimesFit(p.needs)); n > 0 {
				take(i, p, n)
				left -= n
			}
		}
		feasible := s.feasibleFor(p.pod.Placement).nodes
		for _, i := range ownNodes {
			if left == 0 || !feasible.Has(i) {
				continue
			}
			now := slices.Clone(own[i])
			if free[i] != nil {
				now.Plus(free[i])
			} else {
				now.Plus(s.free(y, i))
			}
			if n := min(left, now.TimesFit(p.needs)); n > 0 {
				take(i, p, n)
				left -= n
			}
		}
	}
	return free
}

// precedes reports whether a pending pod takes precedence over a workload of a priority.
func (p *podRecord) precedes(priority int32) bool {
	return p.Priority > priority || p.Priority == priority && !p.Elastic
}
