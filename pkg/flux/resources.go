package flux

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// MaxNodes limits the nodes of a resource set.
const MaxNodes = 1 << 18

// NodeResources are the resources of one node in a resource set.
type NodeResources struct {
	// Rank is the rank of the node's broker.
	Rank uint32
	// Cores and GPUs are the IDs of those in the set.
	Cores, GPUs IDSet
}

// Resources are a resource set (R, RFC 20), sorted by rank, with each rank once. The zero value is empty.
type Resources struct {
	// Nodes are the nodes with resources in the set.
	Nodes []NodeResources
	// Hosts are the pieces of the compact list of the host names, in the order of the ranks.
	Hosts []string
	// Properties are the ranks that have each property.
	Properties map[string]IDSet
}

// Totals are the numbers of resources in a set.
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

// UnmarshalJSON parses version 1 of RFC 20. null, and an object without resources, are the empty set.
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

// mergeNodes sorts nodes and merges the entries of a node.
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

// Ranks returns the ranks of the nodes.
func (r Resources) Ranks() IDSet {
	ranks := make([]idRange, 0, len(r.Nodes))
	for _, node := range r.Nodes {
		ranks = append(ranks, idRange{node.Rank, node.Rank})
	}
	return normalized(ranks)
}

// Totals returns the numbers of resources.
func (r Resources) Totals() Totals {
	t := Totals{Nodes: len(r.Nodes)}
	for _, node := range r.Nodes {
		t.Cores += node.Cores.Count()
		t.GPUs += node.GPUs.Count()
	}
	return t
}

// Node returns the resources of a rank; ok is false if it has none.
func (r Resources) Node(rank uint32) (node NodeResources, ok bool) {
	i, ok := slices.BinarySearchFunc(r.Nodes, rank, func(n NodeResources, rank uint32) int {
		return cmp.Compare(n.Rank, rank)
	})
	if !ok {
		return NodeResources{Rank: rank}, false
	}
	return r.Nodes[i], true
}

// Without returns r without the resources in taken. A node without remaining cores and GPUs is dropped.
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

// On returns the resources of r on the given ranks.
func (r Resources) On(ranks IDSet) Resources {
	var out Resources
	for _, node := range r.Nodes {
		if ranks.Contains(node.Rank) {
			out.Nodes = append(out.Nodes, node)
		}
	}
	return out
}
