package control

import (
	"context"

	"minicluster.internal/operator/pkg/flux"
)

const (
	// PathDrain is the path of the request about ranks on nodes that go away. Agents of earlier releases do not have it.
	PathDrain = "/v1/drain"
	// NodePrefix is the start of the reasons of these drains. The agent changes no drain with another reason for them.
	NodePrefix = "Kubernetes node "
	// MaxDrains is the largest number of entries in a request.
	MaxDrains = 10_000
)

// NodeDrain is a part of a request: pods on one node.
type NodeDrain struct {
	// Node is the name of the node, and Reason why its ranks are drained.
	Node   string `json:"node"`
	Reason string `json:"reason"`
	// Indexes are the completion indexes of the pods.
	Indexes flux.IDSet `json:"indexes"`
}

// Text returns the reason of the drain in Flux.
func (d NodeDrain) Text() string { return NodePrefix + d.Node + ": " + d.Reason }

// Drain is a request with all ranks that are drained because of their nodes. The agent undrains all others that it
// drained for this reason.
type Drain struct {
	Nodes []NodeDrain `json:"nodes"`
}

// DrainState is the response: the state of ranks, by the completion index of their pods.
type DrainState struct {
	// Busy are those of the request that run something. That of the lead is busy while anything runs in the instance,
	// because all jobs end with the lead.
	Busy flux.IDSet `json:"busy"`
	// Idle are those of the request that run nothing, and will not.
	Idle flux.IDSet `json:"idle"`
	// Free are all ranks of the cluster that are online and run nothing, whether they are in the request or not.
	Free flux.IDSet `json:"free"`
	// Drained and Returned are those that this request drained and undrained.
	Drained  flux.IDSet `json:"drained"`
	Returned flux.IDSet `json:"returned"`
}

// Drain sends the ranks that are drained because of their nodes to the agent at the address of a pod, and returns their
// state. It may be repeated. Errors are those of Resize.
func (c *Client) Drain(ctx context.Context, ip string, port int, request Drain) (DrainState, error) {
	var state DrainState
	if err := c.post(ctx, ip, port, PathDrain, request, &state); err != nil {
		return DrainState{}, err
	}
	return state, nil
}
