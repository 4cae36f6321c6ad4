package drain

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/flux"
)

// DefaultDeletionTaints returns the keys of taints with which autoscalers and clouds announce the deletion of a node.
func DefaultDeletionTaints() []string {
	return []string{
		"karpenter.sh/disrupted",
		"ToBeDeletedByClusterAutoscaler",
		"aws-node-termination-handler/spot-itn",
		"cloud.google.com/impending-node-termination",
	}
}

const (
	// busyNodeInterval is the interval of requests about nodes while ranks are busy, or while pods leave.
	busyNodeInterval = 2 * time.Second
	// idleNodeInterval is the interval while all ranks are idle, and their pods may stay.
	idleNodeInterval = 30 * time.Second
	// UnsupportedInterval is the interval of requests to an agent that does not know them.
	UnsupportedInterval = 10 * time.Minute
	// maxNodeReason bounds the reason of an administrator.
	maxNodeReason = 128
	// MaxNamedNodes is the number of nodes that a status names: 500 take 70 KB, and an object may have 1.5 MB.
	MaxNamedNodes = 500
)

// NodeState is why the ranks of a node are drained; the zero value if they are not.
type NodeState struct {
	// Reason is for people.
	Reason string
	// Deleted: the node will be deleted, so that its pods have to leave.
	Deleted bool
}

// Drains reports whether ranks are drained.
func (s NodeState) Drains() bool { return s.Reason != "" }

// StateOfNode returns the state of a node. taints are the keys of taints that announce its deletion.
func StateOfNode(node *corev1.Node, taints []string) NodeState {
	if node.DeletionTimestamp != nil {
		return NodeState{messages.NodeDeleted, true}
	}
	for i := range node.Spec.Taints {
		if key := node.Spec.Taints[i].Key; slices.Contains(taints, key) {
			return NodeState{messages.NodeTainted(key), true}
		}
	}
	if reason, set := node.Annotations[v1alpha2.AnnotationDrain]; set {
		reason = resources.Shorten(resources.Quote(strings.TrimSpace(reason)), maxNodeReason)
		return NodeState{Reason: cmp.Or(reason, messages.NodeAnnotated)}
	}
	if node.Spec.Unschedulable {
		return NodeState{Reason: messages.NodeCordoned}
	}
	return NodeState{}
}

// StateOfMissingNode returns the state of a node that was deleted while it had pods. Kubernetes deletes them, but only
// after a minute.
func StateOfMissingNode() NodeState { return NodeState{messages.NodeMissing, true} }

// NodePod is a pod of a MiniCluster on a node.
type NodePod struct {
	Name  string
	UID   types.UID
	Index int32
	// Job is the UID of the Job that controls the pod.
	Job types.UID
	// State is the value of the label LabelRankState.
	State string
	// Terminating: the pod is being deleted.
	Terminating bool
}

// Node is a node whose ranks are drained, with pods of one MiniCluster.
type Node struct {
	Name string
	NodeState
	// Since is when this process learned of the reason. The time in the status, which survives it, takes precedence.
	Since time.Time
	Pods  []NodePod
}

// Indexes returns the indexes of the pods.
func (n *Node) Indexes() flux.IDSet {
	ids := make([]uint32, 0, len(n.Pods))
	for i := range n.Pods {
		ids = append(ids, uint32(n.Pods[i].Index))
	}
	return flux.IDs(ids...)
}

// NodeRequest returns the request to the agent about some nodes.
func NodeRequest(nodes []Node) control.Drain {
	var request control.Drain
	for i := range nodes {
		if n := &nodes[i]; len(n.Pods) > 0 {
			request.Nodes = append(request.Nodes, control.NodeDrain{Node: n.Name, Reason: n.Reason, Indexes: n.Indexes()})
		}
	}
	return request
}

// NodeInput is what the decision about a node depends on.
type NodeInput struct {
	MiniCluster *v1alpha2.MiniCluster
	Now         time.Time
	// Since is when the drain of the node began, or when its deletion was announced later.
	Since time.Time
	// State is the answer of the agent; nil if there is none.
	State *control.DrainState
}

// PodDecision is what to do about a pod on a node whose ranks are drained.
type PodDecision struct {
	// State is the new value of the label LabelRankState; "" leaves it.
	State string
	// Evict: the pod has to leave now. TimedOut: although its rank is busy.
	Evict, TimedOut bool
}

// DecidePod decides about a pod on a node. The pod of the lead of a cluster that runs a program is always busy: the
// program ends with it.
func DecidePod(in NodeInput, node NodeState, pod NodePod) PodDecision {
	idle := in.State != nil && in.State.Idle.Contains(uint32(pod.Index)) && (pod.Index > 0 || in.MiniCluster.Spec.Interactive)
	timedOut := false
	if d := in.MiniCluster.Spec.Disruption; node.Deleted && d != nil && d.DrainTimeoutSeconds != nil {
		timedOut = in.Now.Sub(in.Since) >= time.Duration(*d.DrainTimeoutSeconds)*time.Second
	}
	switch {
	case pod.Terminating:
		return PodDecision{}
	case idle || timedOut:
		return PodDecision{State: v1alpha2.RankDrained, Evict: node.Deleted, TimedOut: !idle}
	case in.State == nil:
		return PodDecision{}
	default:
		return PodDecision{State: v1alpha2.RankDraining}
	}
}

// NodeTimeout returns the time until a pod on a node has to leave although its rank is busy; 0 if it need not.
func NodeTimeout(in NodeInput, node NodeState) time.Duration {
	d := in.MiniCluster.Spec.Disruption
	if !node.Deleted || d == nil || d.DrainTimeoutSeconds == nil {
		return 0
	}
	return max(0, time.Duration(*d.DrainTimeoutSeconds)*time.Second-in.Now.Sub(in.Since))
}

// NodeInterval returns the time until the next request about nodes.
func NodeInterval(nodes []Node, request control.Drain, state control.DrainState) time.Duration {
	leaves := false
	for i := range nodes {
		leaves = leaves || nodes[i].Deleted && len(nodes[i].Pods) > 0
	}
	var all flux.IDSet
	for _, n := range request.Nodes {
		all = all.Union(n.Indexes)
	}
	switch {
	case !all.Without(state.Busy).Without(state.Idle).Empty():
		return settleInterval
	case leaves || !state.Busy.Empty():
		return busyNodeInterval
	default:
		return idleNodeInterval
	}
}
