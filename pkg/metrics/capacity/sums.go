package capacity

import corev1 "k8s.io/api/core/v1"

// Sums are totals over schedulable nodes. Cordoned and unready nodes do not count, and neither do the pods on them.
type Sums struct {
	// Nodes is the number of nodes.
	Nodes int
	// Capacity and Allocatable of the nodes, and Requests of the pods on them.
	Capacity, Allocatable, Requests Resources
	// Names are the resources of all schedulable nodes, including those that are not selected.
	Names []corev1.ResourceName
}

// remaining returns what may still be requested. It is negative if nodes are overcommitted.
func (s *Sums) remaining() Resources {
	r := s.Allocatable.Clone()
	r.Sub(&s.Requests)
	return r
}
