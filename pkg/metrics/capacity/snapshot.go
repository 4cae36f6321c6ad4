package capacity

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/metrics/allocation"
)

// snapshot is the state of a cluster at one time. It computes results on demand and caches them. It is safe for
// concurrent use.
type snapshot struct {
	at time.Time
	// resources of the nodes, in the order of vectors: CPU, memory, pods, others.
	resources []corev1.ResourceName
	index     map[corev1.ResourceName]int
	// nodes are the schedulable nodes, sorted by name; byName maps names to their indexes.
	nodes  []nodeTotals
	byName map[string]int
	// pending are the pending pods in the order in which the scheduler takes them.
	pending []*pendingPods
	jobs    map[types.NamespacedName][]*podRecord

	// allocated is what opportunistic MiniClusters get.
	allocated allocated

	mu          sync.Mutex
	sums        map[string]*Sums
	feasible    map[placementKey]*feasibleNodes
	fits        map[fitKey]*fit
	headroomsOf map[headroomKey]*headroom
}

// nodeTotals are the amounts of a node.
type nodeTotals struct {
	node *nodeRecord
	// requests of the pods on the node.
	requests *Resources
	// free is what may still be requested.
	capacity, allocatable, free vector
}

// pendingPods is a number of equal pending pods.
type pendingPods struct {
	// pod is one of them, pods are all, oldest first.
	pod   *podRecord
	pods  []*podRecord
	count int64
	needs needs
	// candidates are the nodes on which a pod would fit now, by what the pods of fillers count.
	candidates map[yield]allocation.Bitset
}

// maxCached limits the number of cached sums, whose selectors come from requests.
const maxCached = 100

// newSnapshot copies the state of a cluster.
func newSnapshot(state *clusterState) *snapshot {
	c := state.copy()
	s := &snapshot{
		at: time.Now(), index: map[corev1.ResourceName]int{}, byName: make(map[string]int, len(c.nodes)), jobs: c.jobs,
		sums: map[string]*Sums{}, feasible: map[placementKey]*feasibleNodes{}, fits: map[fitKey]*fit{}, headroomsOf: map[headroomKey]*headroom{},
	}
	s.resources = resourcesOf(c.nodes)
	for i, name := range s.resources {
		s.index[name] = i
	}
	slices.SortFunc(c.nodes, func(a, b nodeState) int { return strings.Compare(a.node.Name, b.node.Name) })
	s.nodes = make([]nodeTotals, len(c.nodes))
	for i, n := range c.nodes {
		s.nodes[i] = nodeTotals{node: n.node, requests: n.requests, capacity: s.vector(&n.node.Capacity), allocatable: s.vector(&n.node.Allocatable)}
		s.nodes[i].free = slices.Clone(s.nodes[i].allocatable)
		if n.requests != nil {
			s.add(s.nodes[i].free, n.requests, -1)
		}
		s.byName[n.node.Name] = i
	}
	s.pending = make([]*pendingPods, 0, len(c.pending))
	for _, group := range c.pending {
		slices.SortFunc(group, compareAge)
		s.pending = append(s.pending, &pendingPods{
			pod: group[0], pods: group, count: int64(len(group)), needs: s.needs(&group[0].Requests), candidates: map[yield]allocation.Bitset{},
		})
	}
	slices.SortFunc(s.pending, comparePending)
	return s
}

// compareAge sorts pods by age, the oldest first.
func compareAge(a, b *podRecord) int {
	return cmp.Or(
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
	)
}

// comparePending sorts pods by priority, as the scheduler does. Among pods of the same priority the order is arbitrary
// and the same in all replicas.
func comparePending(a, b *pendingPods) int {
	return cmp.Or(
		cmp.Compare(b.pod.Priority, a.pod.Priority),
		strings.Compare(a.pod.Namespace, b.pod.Namespace),
		bytes.Compare(a.pod.shape[:], b.pod.shape[:]),
	)
}

// resourcesOf returns the resources of nodes, in a fixed order. It ignores those that only pods request, of which there
// could be any number.
func resourcesOf(nodes []nodeState) []corev1.ResourceName {
	others := map[corev1.ResourceName]bool{}
	for _, n := range nodes {
		for _, r := range []*Resources{&n.node.Capacity, &n.node.Allocatable} {
			for name := range r.Other {
				others[name] = true
			}
		}
	}
	return append(standardResources(), slices.Sorted(maps.Keys(others))...)
}

// sumsOf returns the sums of the nodes that a selector matches.
func (s *snapshot) sumsOf(selector labels.Selector) *Sums {
	key := selector.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	if sums := s.sums[key]; sums != nil {
		return sums
	}
	sums := &Sums{Names: s.resources}
	for i := range s.nodes {
		n := &s.nodes[i]
		if !selector.Matches(labels.Set(n.node.Labels)) {
			continue
		}
		sums.Nodes++
		sums.Capacity.Add(&n.node.Capacity)
		sums.Allocatable.Add(&n.node.Allocatable)
		if n.requests != nil {
			sums.Requests.Add(n.requests)
		}
	}
	if len(s.sums) < maxCached {
		s.sums[key] = sums
	}
	return sums
}

// feasibleNodes are the nodes that a placement allows, regardless of free resources.
type feasibleNodes struct {
	nodes allocation.Bitset
	count int
	// capacity and allocatable are sums over these nodes.
	capacity, allocatable vector
	// free is the sum of what may still be requested, by what the pods of fillers count.
	free map[yield]vector
}

// feasibleFor returns the nodes that a placement allows. The caller holds the lock.
func (s *snapshot) feasibleFor(p *placement) *feasibleNodes {
	if found := s.feasible[p.key]; found != nil {
		return found
	}
	f := &feasibleNodes{
		nodes: allocation.NewBitset(len(s.nodes)), capacity: make(vector, len(s.resources)), allocatable: make(vector, len(s.resources)),
		free: map[yield]vector{},
	}
	for i := range s.nodes {
		if n := &s.nodes[i]; p.allows(n.node) {
			f.nodes.Set(i)
			f.count++
			f.capacity.Plus(n.capacity)
			f.allocatable.Plus(n.allocatable)
		}
	}
	s.feasible[p.key] = f
	return f
}

// freeOn returns the sum of what is free on some nodes.
func (s *snapshot) freeOn(f *feasibleNodes, y yield) vector {
	if found := f.free[y]; found != nil {
		return found
	}
	sum := make(vector, len(s.resources))
	for i := range f.nodes.All() {
		sum.Plus(s.free(y, i))
	}
	f.free[y] = sum
	return sum
}

// fitKey identifies what pods of a placement with some requests need, and what the pods of fillers count.
type fitKey struct {
	placement placementKey
	needs     string
	yield     yield
}

// fit is how many pods would fit on each node, and in total.
type fit struct {
	nodes []int64
	total int64
}

// fitOf returns how many pods with some needs would fit on the nodes that a placement allows. The caller holds the
// lock.
func (s *snapshot) fitOf(p *placement, all needs, y yield) *fit {
	key := fitKey{p.key, all.String(), y}
	if found := s.fits[key]; found != nil {
		return found
	}
	f := &fit{nodes: make([]int64, len(s.nodes))}
	for i := range s.feasibleFor(p).nodes.All() {
		f.nodes[i] = s.free(y, i).TimesFit(all)
		f.total += f.nodes[i]
	}
	s.fits[key] = f
	return f
}

// candidatesOf returns the nodes on which a pending pod would fit now. The caller holds the lock.
func (s *snapshot) candidatesOf(p *pendingPods, y yield) allocation.Bitset {
	if found := p.candidates[y]; found != nil {
		return found
	}
	candidates := allocation.NewBitset(len(s.nodes))
	for i := range s.feasibleFor(p.pod.Placement).nodes.All() {
		if s.free(y, i).TimesFit(p.needs) > 0 {
			candidates.Set(i)
		}
	}
	p.candidates[y] = candidates
	return candidates
}
