package flux

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// MaxNodes bounds the nodes of a resource set that is read.
const MaxNodes = 1 << 18

// NodeResources are what a resource set has of one node.
type NodeResources struct {
	// Rank is the rank of the node's broker.
	Rank uint32
	// Cores and GPUs are the numbers of those that are in the set.
	Cores, GPUs IDSet
}

// Resources are a resource set (R, RFC 20), in the order of the ranks, each
// rank once. The zero value is empty.
type Resources struct {
	// Nodes are the nodes of which the set has something.
	Nodes []NodeResources
	// Hosts is the compact list of the nodes' names, in pieces, in the order of the
	// ranks.
	Hosts []string
	// Properties are the ranks that have each property.
	Properties map[string]IDSet
}

// Totals count what is in a resource set.
type Totals struct{ Nodes, Cores, GPUs int }

type wireResources struct {
	Version   int `json:"version"`
	Execution struct {
		Lite []struct {
			Rank     IDSet `json:"rank"`
			Children struct {
				Core IDSet `json:"core"`
				GPU  IDSet `json:"gpu"`
			} `json:"children"`
		} `json:"R_lite"`
		Nodes      []string `json:"nodelist"`
		Properties map[string]IDSet
	} `json:"execution"`
}

// UnmarshalJSON reads version 1 of RFC 20. null, and an object without
// resources, are the empty set.
func (r *Resources) UnmarshalJSON(data []byte) error {
	var wire wireResources
	if err := json.Unmarshal(data, &wire); err != nil {
		return fmt.Errorf("resource set: %w", err)
	}
	if wire.Version > 1 {
		return fmt.Errorf("resource set of version %d", wire.Version)
	}
	count := 0
	for _, entry := range wire.Execution.Lite {
		if count += entry.Rank.Count(); count > MaxNodes {
			return fmt.Errorf("resource set of more than %d nodes", MaxNodes)
		}
	}
	nodes := make([]NodeResources, 0, count)
	for _, entry := range wire.Execution.Lite {
		for rank := range entry.Rank.All() {
			nodes = append(nodes, NodeResources{Rank: rank, Cores: entry.Children.Core, GPUs: entry.Children.GPU})
		}
	}
	*r = Resources{Nodes: mergeNodes(nodes), Hosts: wire.Execution.Nodes, Properties: wire.Execution.Properties}
	return nil
}

// mergeNodes sorts nodes and joins what a set says in several places about one.
func mergeNodes(nodes []NodeResources) []NodeResources {
	slices.SortStableFunc(nodes, func(a, b NodeResources) int { return cmp.Compare(a.Rank, b.Rank) })
	out := nodes[:0]
	for _, node := range nodes {
		if n := len(out); n > 0 && out[n-1].Rank == node.Rank {
			out[n-1].Cores = out[n-1].Cores.Union(node.Cores)
			out[n-1].GPUs = out[n-1].GPUs.Union(node.GPUs)
			continue
		}
		out = append(out, node)
	}
	return out
}

// Ranks are the ranks of the nodes.
func (r Resources) Ranks() IDSet {
	ranks := make([]idRange, 0, len(r.Nodes))
	for _, node := range r.Nodes {
		ranks = append(ranks, idRange{node.Rank, node.Rank})
	}
	return normalized(ranks)
}

// Totals counts.
func (r Resources) Totals() Totals {
	t := Totals{Nodes: len(r.Nodes)}
	for _, node := range r.Nodes {
		t.Cores += node.Cores.Count()
		t.GPUs += node.GPUs.Count()
	}
	return t
}

// Node is what there is of the node of a rank; ok is false if it has nothing.
func (r Resources) Node(rank uint32) (node NodeResources, ok bool) {
	i, ok := slices.BinarySearchFunc(r.Nodes, rank, func(n NodeResources, rank uint32) int {
		return cmp.Compare(n.Rank, rank)
	})
	if !ok {
		return NodeResources{Rank: rank}, false
	}
	return r.Nodes[i], true
}

// Without is r less what is in taken. A node that has neither a core nor a GPU
// left is not in it.
func (r Resources) Without(taken Resources) Resources {
	var out Resources
	for _, node := range r.Nodes {
		gone, ok := taken.Node(node.Rank)
		if ok {
			node.Cores = node.Cores.Without(gone.Cores)
			node.GPUs = node.GPUs.Without(gone.GPUs)
		}
		if !node.Cores.Empty() || !node.GPUs.Empty() {
			out.Nodes = append(out.Nodes, node)
		}
	}
	return out
}

// On is what r has on the nodes of the ranks given.
func (r Resources) On(ranks IDSet) Resources {
	var out Resources
	for _, node := range r.Nodes {
		if ranks.Contains(node.Rank) {
			out.Nodes = append(out.Nodes, node)
		}
	}
	return out
}
