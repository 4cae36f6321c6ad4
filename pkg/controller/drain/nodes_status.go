package drain

import (
	"slices"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/flux"
)

// RecordNodes returns what a status says about nodes, with those that it lacks, and those that will be deleted since it
// was written. It does not depend on the agent.
func RecordNodes(nodes []Node, recorded []v1alpha2.NodeDrainStatus, now time.Time) []v1alpha2.NodeDrainStatus {
	all := slices.Clone(recorded)
	known := positions(all)
	current := NodeStatus(nodes, flux.IDSet{}, recorded, now)
	for _, entry := range current {
		i, ok := known[entry.Node]
		switch {
		case !ok:
			all = append(all, entry)
		case !all[i].Since.Equal(&entry.Since):
			all[i].Reason, all[i].Since = entry.Reason, entry.Since
		}
	}
	all = bounded(all, positions(current))
	slices.SortStableFunc(all, func(a, b v1alpha2.NodeDrainStatus) int {
		switch {
		case a.Node == "":
			return 1
		case b.Node == "":
			return -1
		}
		return strings.Compare(a.Node, b.Node)
	})
	return all
}

// bounded returns what a status says about nodes with at most MaxNamedNodes names. Nodes that are not current lose
// theirs: they are recorded until the agent has undrained their ranks, for which an agent may take for ever.
func bounded(all []v1alpha2.NodeDrainStatus, current map[string]int) []v1alpha2.NodeDrainStatus {
	more := len(all) - MaxNamedNodes
	rest := v1alpha2.NodeDrainStatus{}
	if i, ok := positions(all)[""]; ok {
		more--
		rest = all[i]
	}
	if more <= 0 {
		return all
	}
	if rest.Reason == "" {
		rest.Reason, rest.Since = messages.MoreNodes(more), all[0].Since
	}
	var named []v1alpha2.NodeDrainStatus
	for _, entry := range all {
		_, isCurrent := current[entry.Node]
		switch {
		case entry.Node == "":
		case more > 0 && !isCurrent:
			more--
			rest.Indexes, rest.Busy = union(rest.Indexes, entry.Indexes), union(rest.Busy, entry.Busy)
		default:
			named = append(named, entry)
		}
	}
	return append(named, rest)
}

// wholeSeconds rounds a time up to that of a status, so that jobs do not get less time than the spec allows.
func wholeSeconds(t time.Time) time.Time {
	return t.Add(time.Second - time.Nanosecond).Truncate(time.Second)
}

// union returns the union of two sets of indexes of a status.
func union(a, b string) string {
	x, errX := flux.ParseIDSet(a)
	y, errY := flux.ParseIDSet(b)
	if errX != nil || errY != nil {
		return a
	}
	return x.Union(y).String()
}

// NodeStatus returns the part of the status about some nodes. The times of nodes that were recorded before remain; that
// of a node that will be deleted begins when this is known, because it limits how long jobs may continue. Nodes beyond
// the first MaxNamedNodes have one entry together, without a name.
func NodeStatus(nodes []Node, busy flux.IDSet, recorded []v1alpha2.NodeDrainStatus, now time.Time) []v1alpha2.NodeDrainStatus {
	var all []v1alpha2.NodeDrainStatus
	var unnamed []uint32
	more := 0
	known := positions(recorded)
	since := func(name, reason string, deleted bool, began time.Time) (entry v1alpha2.NodeDrainStatus) {
		entry.Node, entry.Reason, entry.Since.Time = name, reason, wholeSeconds(began)
		if i, ok := known[name]; ok && (!deleted || messages.NodeLeaves(recorded[i].Reason)) {
			entry.Since = recorded[i].Since
		}
		return entry
	}
	for i := range nodes {
		n := &nodes[i]
		switch indexes := n.Indexes(); {
		case len(n.Pods) == 0:
		case len(all) == MaxNamedNodes:
			unnamed = slices.AppendSeq(unnamed, indexes.All())
			more++
		default:
			// A node that had no name in the status does not get more time when it gets one.
			began := now
			if !n.Since.IsZero() {
				began = n.Since
			}
			entry := since(n.Name, n.Reason, n.Deleted, began)
			entry.Indexes, entry.Busy = indexes.String(), busy.Intersect(indexes).String()
			all = append(all, entry)
		}
	}
	if more > 0 {
		entry := since("", messages.MoreNodes(more), false, now)
		indexes := flux.IDs(unnamed...)
		entry.Indexes, entry.Busy = indexes.String(), busy.Intersect(indexes).String()
		all = append(all, entry)
	}
	return all
}

// NodesSince returns since when nodes are drained, or since when their deletion is announced, by name.
func NodesSince(nodes []Node, recorded []v1alpha2.NodeDrainStatus, now time.Time) map[string]time.Time {
	known := positions(recorded)
	since := make(map[string]time.Time, len(nodes))
	for i := range nodes {
		since[nodes[i].Name] = now
		if at, ok := known[nodes[i].Name]; ok {
			since[nodes[i].Name] = recorded[at].Since.Time
		} else if !nodes[i].Since.IsZero() {
			since[nodes[i].Name] = nodes[i].Since
		}
	}
	return since
}

// positions returns the positions of nodes in a status.
func positions(recorded []v1alpha2.NodeDrainStatus) map[string]int {
	known := make(map[string]int, len(recorded))
	for i := range recorded {
		known[recorded[i].Node] = i
	}
	return known
}
