package capacity

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// State is what is known of all nodes and of all pods that hold resources or wait for
// some. An event changes it in a time that doesn't depend on how many there are, and
// events of different objects may come in any order: a pod before its node, for
// example. It may be used by several goroutines at a time.
type State struct {
	mu     sync.RWMutex
	places map[string]*place
	pods   map[types.NamespacedName]*Pod
	// waiting are the pods that are not bound.
	waiting map[types.NamespacedName]*Pod
	// jobs has the pods of each Job.
	jobs map[types.NamespacedName]map[types.NamespacedName]*Pod
}

// place is a node with what its pods hold. The node is nil while only its pods are known.
type place struct {
	node *Node
	used Resources
}

// NewState makes a state of an empty cluster.
func NewState() *State {
	return &State{
		places:  map[string]*place{},
		pods:    map[types.NamespacedName]*Pod{},
		waiting: map[types.NamespacedName]*Pod{},
		jobs:    map[types.NamespacedName]map[types.NamespacedName]*Pod{},
	}
}

// SetNode adds a node or replaces what was known of it. The record must not change
// afterwards.
func (s *State) SetNode(n *Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place(n.Name).node = n
}

// DeleteNode forgets a node. Its pods stay until they are deleted, too.
func (s *State) DeleteNode(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.places[name]; p != nil {
		p.node = nil
		s.tidy(name, p)
	}
}

// SetPod adds a pod or replaces the one of the same name; one that has ended is
// forgotten. The record must not change afterwards.
func (s *State) SetPod(p *Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(p.key())
	if p.Ended {
		return
	}
	s.pods[p.key()] = p
	if p.Node == "" {
		s.waiting[p.key()] = p
	} else {
		s.place(p.Node).used.Add(&p.Requests)
	}
	if p.Job == "" {
		return
	}
	if s.jobs[p.owner()] == nil {
		s.jobs[p.owner()] = map[types.NamespacedName]*Pod{}
	}
	s.jobs[p.owner()][p.key()] = p
}

// DeletePod forgets a pod, which no longer holds anything.
func (s *State) DeletePod(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

func (s *State) remove(key types.NamespacedName) {
	p := s.pods[key]
	if p == nil {
		return
	}
	delete(s.pods, key)
	delete(s.waiting, key)
	if siblings := s.jobs[p.owner()]; siblings != nil {
		delete(siblings, key)
		if len(siblings) == 0 {
			delete(s.jobs, p.owner())
		}
	}
	if p.Node != "" {
		on := s.place(p.Node)
		on.used.Sub(&p.Requests)
		s.tidy(p.Node, on)
	}
}

func (s *State) place(name string) *place {
	p := s.places[name]
	if p == nil {
		p = &place{}
		s.places[name] = p
	}
	return p
}

// resources are those that nodes which count have, in an order that is always the same. What
// only pods ask for is not among them: there would be no end to names.
func (s *State) resources() []corev1.ResourceName {
	others := map[corev1.ResourceName]bool{}
	for _, p := range s.places {
		if p.node == nil || !p.node.usable() {
			continue
		}
		for _, r := range []*Resources{&p.node.Capacity, &p.node.Allocatable} {
			for name := range r.Other {
				others[name] = true
			}
		}
	}
	return append(everywhere(), slices.Sorted(maps.Keys(others))...)
}

// tidy forgets a place of which nothing is known any more.
func (s *State) tidy(name string, p *place) {
	if p.node == nil && p.used.Pods == 0 {
		delete(s.places, name)
	}
}
