package messages

import (
	"fmt"
	"strings"
)

// Reasons why the ranks of a node are drained.
const (
	NodeDeleted   = "the node is being deleted"
	NodeMissing   = "the node does not exist"
	NodeAnnotated = "the node has the annotation flux-framework.org/drain"
	NodeCordoned  = "the node is cordoned"
)

// NodeTainted is the reason of a taint that announces the deletion of a node.
func NodeTainted(key string) string { return "the node has the taint " + key }

// NodeLeaves reports whether a reason is that of a node that will be deleted.
func NodeLeaves(reason string) bool {
	return reason == NodeDeleted || reason == NodeMissing || strings.HasPrefix(reason, NodeTainted(""))
}

// MoreNodes is the reason of an entry of the status for nodes that it does not name.
func MoreNodes(n int) string { return fmt.Sprintf("%d more nodes that go away", n) }

// NodeDraining is the message about ranks that were drained because of their nodes.
func NodeDraining(ranks, nodes string) string {
	return fmt.Sprintf("drained %s: %s", ranks, nodes)
}

// NodeUndrained is the message about ranks that were undrained because their pods are on other nodes, or their nodes
// take pods again.
func NodeUndrained(ranks string) string { return "undrained " + ranks }

// NodeEvicted is the message about a pod that leaves a node that will be deleted.
func NodeEvicted(pod, node, reason string, idle bool) string {
	if idle {
		return fmt.Sprintf("evicted pod %s from node %s, its rank is idle: %s", pod, node, reason)
	}
	return fmt.Sprintf("evicted pod %s from node %s after spec.disruption.drainTimeoutSeconds, its rank is busy: %s", pod, node, reason)
}

// NodeComing is the message about a pod for which a node autoscaler provides a node.
func NodeComing(pod, autoscaler, report string) string {
	return fmt.Sprintf("pod %s waits for a new node; %s reports: %s", pod, autoscaler, report)
}

// AutoscalerReports adds the report of a node autoscaler about a pod that fits no node.
func AutoscalerReports(text, autoscaler, report string) string {
	return fmt.Sprintf("%s; %s reports: %s", text, autoscaler, report)
}
