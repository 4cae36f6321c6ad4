package capacity

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// snapshot is a state made ready for the views of many applications: what is the same for all of them
// is worked out once. It is good only as long as the state is locked.
type snapshot struct {
	state *State
	// names are the resources of the nodes, in the order of vectors: CPU, memory, pods, others.
	names []corev1.ResourceName
	index map[corev1.ResourceName]int
	// spots are the nodes that count, in the order of their names; at has them by name.
	spots []spot
	at    map[string]int
	// waiting are the pods that wait, as the scheduler takes them.
	waiting []waiter
}

// spot is a node that counts.
type spot struct {
	node *Node
	// free is what nobody holds.
	capacity, allocatable, free vector
}

// waiter is a pod that waits.
type waiter struct {
	pod   *Pod
	needs needs
}

// vector is an amount of each resource of a snapshot.
type vector []int64

// need is an amount of one resource: the one of an index, or one that no node has (-1).
type need struct {
	index  int
	amount int64
}

// needs are what one pod asks for, without what it asks nothing of.
type needs []need

// snapshot must be called with the lock held.
func (s *State) snapshot() *snapshot {
	snap := &snapshot{state: s, names: s.resources(), index: map[corev1.ResourceName]int{}, at: make(map[string]int, len(s.places))}
	for i, name := range snap.names {
		snap.index[name] = i
	}
	places := make([]*place, 0, len(s.places))
	for _, p := range s.places {
		if p.node == nil || !p.node.usable() {
			continue
		}
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b *place) int { return strings.Compare(a.node.Name, b.node.Name) })
	for i, p := range places {
		free := snap.vector(&p.node.Allocatable)
		snap.add(free, &p.used, -1)
		snap.spots = append(snap.spots, spot{
			node: p.node, capacity: snap.vector(&p.node.Capacity), allocatable: snap.vector(&p.node.Allocatable), free: free,
		})
		snap.at[p.node.Name] = i
	}
	for _, p := range s.waiting {
		if !p.Placement.Gated {
			snap.waiting = append(snap.waiting, waiter{pod: p, needs: snap.needs(&p.Requests)})
		}
	}
	// As the scheduler takes them, and then in an order that is always the same.
	slices.SortFunc(snap.waiting, func(a, b waiter) int {
		return cmp.Or(cmp.Compare(b.pod.Priority, a.pod.Priority), cmp.Compare(a.pod.Namespace, b.pod.Namespace), cmp.Compare(a.pod.Name, b.pod.Name))
	})
	return snap
}

func (s *snapshot) vector(r *Resources) vector {
	v := make(vector, len(s.names))
	s.add(v, r, 1)
	return v
}

// add adds an amount some times. What no node has doesn't count.
func (s *snapshot) add(v vector, r *Resources, times int64) {
	v[0] += times * r.CPU
	v[1] += times * r.Memory
	v[2] += times * r.Pods
	for name, n := range r.Other {
		if i, known := s.index[name]; known {
			v[i] += times * n
		}
	}
}

// needs are what an amount asks for.
func (s *snapshot) needs(r *Resources) needs {
	var all needs
	for name, n := range r.all() {
		if n <= 0 {
			continue
		}
		i, known := s.index[name]
		if !known {
			i = -1
		}
		all = append(all, need{index: i, amount: n})
	}
	return all
}

// resources are what a vector stands for.
func (s *snapshot) resources(v vector) Resources {
	var r Resources
	for i, name := range s.names {
		r.Set(name, v[i])
	}
	return r
}

// plus adds another vector.
func (v vector) plus(o vector) {
	for i, n := range o {
		v[i] += n
	}
}

// minus takes away what is needed once.
func (v vector) minus(all needs) {
	for _, n := range all {
		if n.index >= 0 {
			v[n.index] -= n.amount
		}
	}
}

// holds tells whether something fits into what is free, with what is to be given way, if there is that.
func (v vector) holds(all needs, with vector) bool {
	for _, n := range all {
		if n.index < 0 {
			return false
		}
		free := v[n.index]
		if with != nil {
			free += with[n.index]
		}
		if free < n.amount {
			return false
		}
	}
	return true
}

// times is how often something fits into what is free, never less than 0. What is not asked for doesn't count,
// however overcommitted it is. Something that asks for nothing would fit without end.
func (v vector) times(all needs) int64 {
	fit := endless
	for _, n := range all {
		if n.index < 0 {
			return 0
		}
		fit = min(fit, max(0, v[n.index])/n.amount)
	}
	return fit
}
