package capacity

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Overview is the state of the nodes and of pending pods at one time.
type Overview struct {
	// Nodes are the schedulable nodes, sorted by name, and Names their resources.
	Nodes []NodeUsage
	Names []corev1.ResourceName
	// Nowhere are the pending paying pods that fit nowhere, even if all opportunistic MiniClusters had their minimum.
	Nowhere []PendingPods
	// AfterShrink is the number of pending paying pods that fit after opportunistic MiniClusters have shrunk.
	AfterShrink int64
}

// NodeUsage is what the pods on a node request, and who they belong to.
type NodeUsage struct {
	Name                  string
	Allocatable, Requests Resources
	// MiniClusters are those with pods on the node, sorted by their requests of CPU, the largest first.
	MiniClusters []Share
}

// Share is what the pods of a MiniCluster request on a node.
type Share struct {
	types.NamespacedName
	Requests Resources
}

// PendingPods are pending pods of a namespace that differ in their names only.
type PendingPods struct {
	Namespace string
	// Oldest is the name of one of them.
	Oldest   string
	Count    int
	Requests Resources
}

// Overview returns the nodes and the pending pods of the current snapshot.
func (s *Source) Overview() Overview { return s.current().overview() }

func (s *snapshot) overview() Overview {
	o := Overview{Names: s.resources, AfterShrink: s.allocated.pending[roomAfterShrink], Nodes: make([]NodeUsage, len(s.nodes))}
	for i := range s.nodes {
		n := &s.nodes[i]
		o.Nodes[i] = NodeUsage{Name: n.node.Name, Allocatable: n.node.Allocatable}
		if n.requests != nil {
			o.Nodes[i].Requests = *n.requests
		}
	}
	for name, pods := range s.jobs {
		s.addShares(o.Nodes, name, pods)
	}
	for i := range o.Nodes {
		slices.SortFunc(o.Nodes[i].MiniClusters, func(a, b Share) int {
			return cmp.Or(cmp.Compare(b.Requests.CPU, a.Requests.CPU), cmp.Compare(a.String(), b.String()))
		})
	}
	for _, pods := range s.allocated.nowhere {
		o.Nowhere = append(o.Nowhere, PendingPods{
			Namespace: pods[0].Namespace, Oldest: pods[0].Name, Count: len(pods), Requests: pods[0].Requests,
		})
	}
	return o
}

// addShares adds the pods of a Job to their nodes, if it belongs to a MiniCluster.
func (s *snapshot) addShares(nodes []NodeUsage, job types.NamespacedName, pods []*podRecord) {
	shares := map[int]*Resources{}
	for _, p := range pods {
		i, known := s.byName[p.Node]
		if !known || !p.Elastic {
			continue
		}
		if shares[i] == nil {
			shares[i] = &Resources{}
		}
		shares[i].Add(&p.Requests)
	}
	for i, requests := range shares {
		nodes[i].MiniClusters = append(nodes[i].MiniClusters, Share{NamespacedName: job, Requests: *requests})
	}
}
