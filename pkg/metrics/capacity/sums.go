package capacity

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Sums are the totals of some nodes.
type Sums struct {
	// Nodes is their number.
	Nodes int
	// Capacity is what they have; Allocatable is what of it pods may request; Requests
	// is what the pods on them hold.
	Capacity, Allocatable, Requests Resources
	// Names are the resources of all nodes that count, whichever were selected.
	Names []corev1.ResourceName
}

// Remaining is what may still be requested. It is less than nothing where a node has
// pods that the scheduler would not have put there.
func (s *Sums) Remaining() Resources {
	r := s.Allocatable.Clone()
	r.Sub(&s.Requests)
	return r
}

// Sums adds up the nodes that a selector of their labels selects. Nodes that are cordoned
// or not ready don't count, nor do the pods on them.
func (s *State) Sums(selector labels.Selector) Sums {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sums := Sums{Names: s.resources()}
	for _, p := range s.places {
		if p.node == nil || !p.node.usable() || !selector.Matches(labels.Set(p.node.Labels)) {
			continue
		}
		sums.Nodes++
		sums.Capacity.Add(&p.node.Capacity)
		sums.Allocatable.Add(&p.node.Allocatable)
		sums.Requests.Add(&p.used)
	}
	return sums
}
