package page

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/metrics/capacity"
)

// Maximum numbers of nodes, of MiniClusters on a node, and of groups of pending pods on the page.
const (
	maxNodes  = 200
	maxShares = 3
	maxGroups = 5
)

// nodeTable shows what is free on each node and who uses the rest.
type nodeTable struct {
	// Resources are the titles of the resources, with their units.
	Resources []string
	Rows      []nodeRow
	// Hidden is the number of nodes that are not listed.
	Hidden int
}

type nodeRow struct {
	ID, Name string
	// Cells are the free and the allocatable amount of each resource.
	Cells []nodeCell
	// Users describes whose pods request how many cores.
	Users string
}

type nodeCell struct {
	Free, Of string
	// Full is set if nothing is free.
	Full bool
}

// newNodeTable returns the table of nodes. It names MiniClusters in namespaces that may accepts only.
func newNodeTable(o capacity.Overview, may func(namespace string) bool) nodeTable {
	var t nodeTable
	units := make([]scale, len(o.Names))
	for i, name := range o.Names {
		title, unit := titleOf(resourceTitle(name))
		units[i] = scale{size: 1}
		switch unit {
		case unitCores:
			units[i] = scale{size: 1000, digits: 2} // thousandths
		case unitBytes:
			units[i] = scale{size: 1 << 30, digits: 1}
			unit = "GiB"
		}
		if unit != unitPieces && unit != unitPods {
			title += ", " + unit
		}
		t.Resources = append(t.Resources, title)
	}
	for i := range o.Nodes {
		if i == maxNodes {
			t.Hidden = len(o.Nodes) - maxNodes
			break
		}
		n := &o.Nodes[i]
		row := nodeRow{ID: "node/" + n.Name, Name: n.Name, Users: usersOf(n, may)}
		for j, name := range o.Names {
			all := n.Allocatable.Get(name)
			free := all - n.Requests.Get(name)
			row.Cells = append(row.Cells, nodeCell{Free: units[j].text(float64(free)), Of: units[j].text(float64(all)), Full: all > 0 && free <= 0})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// resourceTitle returns a resource as titleOf expects it.
func resourceTitle(name corev1.ResourceName) string {
	switch name {
	case corev1.ResourceCPU:
		return "cpu"
	case corev1.ResourceMemory:
		return "mem"
	case corev1.ResourcePods:
		return "pod"
	default:
		return string(name)
	}
}

// cores formats thousandths of a core.
func cores(thousandths int64) string { return decimal(float64(thousandths)/1000, 2) }

// usersOf describes whose pods request how many cores of a node.
func usersOf(n *capacity.NodeUsage, may func(namespace string) bool) string {
	var parts []string
	others := n.Requests.CPU
	pods := n.Requests.Pods
	for i := range n.MiniClusters {
		s := &n.MiniClusters[i]
		if len(parts) == maxShares || !may(s.Namespace) {
			continue
		}
		parts = append(parts, s.String()+" "+cores(s.Requests.CPU))
		others -= s.Requests.CPU
		pods -= s.Requests.Pods
	}
	if pods > 0 {
		parts = append(parts, fmt.Sprintf("others %s", cores(others)))
	}
	return strings.Join(parts, ", ")
}

// waitingText describes the pending pods that fit nowhere, or "" if there are none. It names pods in namespaces that
// may accepts only.
func waitingText(o capacity.Overview, may func(namespace string) bool) string {
	total, named := 0, 0
	var parts []string
	for i := range o.Nowhere {
		g := &o.Nowhere[i]
		total += g.Count
		if !may(g.Namespace) || len(parts) == maxGroups {
			continue
		}
		named += g.Count
		text := g.Namespace + "/" + g.Oldest
		if g.Count > 1 {
			text += fmt.Sprintf(" and %d like it", g.Count-1)
		}
		parts = append(parts, text+" ("+requestsText(&g.Requests)+")")
	}
	if total == 0 {
		return ""
	}
	text := "1 pending pod fits nowhere"
	if total > 1 {
		text = fmt.Sprintf("%d pending pods fit nowhere", total)
	}
	text += ", even if all opportunistic MiniClusters had their minimum size"
	if more := total - named; more > 0 && len(parts) > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text + "."
}

// requestsText describes the requests of a pod.
func requestsText(r *capacity.Resources) string {
	u := unitOf(float64(r.Memory))
	return fmt.Sprintf("%s cores, %s %s", cores(r.CPU), u.text(float64(r.Memory)), u.name)
}
