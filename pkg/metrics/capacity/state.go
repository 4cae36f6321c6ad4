package capacity

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// clusterState records all nodes, and all pods that hold or need resources. Applying an event takes constant time,
// and events of different objects may arrive in any order, for example a pod before its node. It is safe for
// concurrent use.
type clusterState struct {
	mu    sync.Mutex
	nodes map[string]nodeState
	pods  map[types.NamespacedName]podEntry
	// pending has the pods that the scheduler may place, grouped by shape.
	pending map[podShape]pendingGroup
	// jobs has the pods of each Job.
	jobs map[types.NamespacedName]*jobState
}

// nodeState is a node and the requests of its pods. The node is nil as long as only pods of it are known. What it
// points to is never modified, so that a snapshot can share it.
type nodeState struct {
	node     *nodeRecord
	requests *Resources
}

// pendingGroup is some pending pods of equal shape: they differ only in their names and times of creation.
type pendingGroup struct {
	pod  *podRecord
	pods map[types.NamespacedName]*podRecord
}

// podEntry is a pod and its index in the list of its Job.
type podEntry struct {
	*podRecord
	index int
}

// jobState has the pods of a Job. Snapshots share the list: it may be appended to, and must be copied before any other
// change.
type jobState struct {
	pods   []*podRecord
	shared bool
}

func newClusterState() *clusterState {
	return &clusterState{
		nodes:   map[string]nodeState{},
		pods:    map[types.NamespacedName]podEntry{},
		pending: map[podShape]pendingGroup{},
		jobs:    map[types.NamespacedName]*jobState{},
	}
}

// setNode adds or replaces a node. The record must not be modified afterwards.
func (s *clusterState) setNode(n *nodeRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[n.Name] = nodeState{node: n, requests: s.nodes[n.Name].requests}
}

// deleteNode removes a node. Its pods stay until they are deleted.
func (s *clusterState) deleteNode(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if requests := s.nodes[name].requests; requests != nil {
		s.nodes[name] = nodeState{requests: requests}
	} else {
		delete(s.nodes, name)
	}
}

// setPod adds or replaces a pod. A pod that has ended is removed. The record must not be modified afterwards.
func (s *clusterState) setPod(p *podRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(p.key())
	if p.Ended {
		return
	}
	s.pods[p.key()] = podEntry{podRecord: p, index: s.addToJob(p)}
	switch {
	case p.Node != "":
		s.addRequests(p, 1)
	case !p.Placement.Gated:
		group := s.pending[p.shape]
		if group.pod == nil {
			group = pendingGroup{pod: p, pods: map[types.NamespacedName]*podRecord{}}
			s.pending[p.shape] = group
		}
		group.pods[p.key()] = p
	}
}

// addToJob adds a pod to the list of its Job, if it has one, and returns its index.
func (s *clusterState) addToJob(p *podRecord) int {
	if p.Job == "" {
		return 0
	}
	job := s.jobs[p.owner()]
	if job == nil {
		job = &jobState{}
		s.jobs[p.owner()] = job
	}
	job.pods = append(job.pods, p)
	return len(job.pods) - 1
}

// removeFromJob removes a pod from the list of its Job, if it has one. The last pod of the list takes its place.
func (s *clusterState) removeFromJob(p podEntry) {
	job := s.jobs[p.owner()]
	if p.Job == "" || job == nil {
		return
	}
	last := len(job.pods) - 1
	if last == 0 {
		delete(s.jobs, p.owner())
		return
	}
	if job.shared {
		job.pods, job.shared = slices.Clone(job.pods), false
	}
	moved := job.pods[last]
	job.pods[last] = nil
	job.pods = job.pods[:last]
	if p.index < last {
		job.pods[p.index] = moved
		s.pods[moved.key()] = podEntry{podRecord: moved, index: p.index}
	}
}

// deletePod removes a pod.
func (s *clusterState) deletePod(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

func (s *clusterState) remove(key types.NamespacedName) {
	p, known := s.pods[key]
	if !known {
		return
	}
	delete(s.pods, key)
	s.removeFromJob(p)
	switch {
	case p.Node != "":
		s.addRequests(p.podRecord, -1)
	case !p.Placement.Gated:
		group := s.pending[p.shape]
		delete(group.pods, key)
		if len(group.pods) == 0 {
			delete(s.pending, p.shape)
		}
	}
}

// addRequests adds the requests of a pod to its node, some times. It replaces them, because snapshots share them.
func (s *clusterState) addRequests(p *podRecord, times int64) {
	state := s.nodes[p.Node]
	var requests Resources
	if state.requests != nil {
		requests = state.requests.Clone()
	}
	requests.add(&p.Requests, times)
	state.requests = &requests
	if requests.Pods == 0 {
		state.requests = nil
	}
	if state.node == nil && state.requests == nil {
		delete(s.nodes, p.Node)
		return
	}
	s.nodes[p.Node] = state
}

// stateCopy is a copy of a clusterState, whose content does not change any more.
type stateCopy struct {
	nodes   []nodeState
	pending [][]*podRecord
	jobs    map[types.NamespacedName][]*podRecord
}

// copy returns a copy of the parts that a snapshot needs. Events wait for it, so it copies pointers only.
func (s *clusterState) copy() stateCopy {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := stateCopy{
		nodes:   make([]nodeState, 0, len(s.nodes)),
		pending: make([][]*podRecord, 0, len(s.pending)),
		jobs:    make(map[types.NamespacedName][]*podRecord, len(s.jobs)),
	}
	for _, n := range s.nodes {
		if n.node != nil && n.node.schedulable() {
			c.nodes = append(c.nodes, n)
		}
	}
	for _, group := range s.pending {
		pods := make([]*podRecord, 0, len(group.pods))
		for _, pod := range group.pods {
			pods = append(pods, pod)
		}
		c.pending = append(c.pending, pods)
	}
	for name, job := range s.jobs {
		job.shared = true
		c.jobs[name] = job.pods
	}
	return c
}
