// Package control is how the controller asks the agent of a lead's pod to prepare
// a change of size: what they say to each other, the certificates by which they
// know each other, and the controller's side. The agent's side is in package serve.
//
// There is one request. It states the size that the cluster is to have, and may be
// repeated as often as one likes: the agent drains the ranks that are to go and
// gives back those that are to stay, and says which of them still run something.
//
// Both sides show certificates of an authority that exists for one MiniCluster and
// whose key is forgotten once it has signed them. A certificate cannot name the
// address of a pod, so the controller connects to the address and expects the host
// name.
package control

import (
	"time"

	"minicluster.internal/operator/pkg/flux"
)

const (
	// Reason is why the agent drains ranks. What is drained for any other reason
	// is somebody else's.
	Reason = "scale-down"
	// PathResize is where a request is posted.
	PathResize = "/v1/resize"
	// Timeout is the longest that the agent takes to answer.
	Timeout = 5 * time.Second
)

// Port is where the agent of a lead's pod listens, beside the port of health and
// metrics.
func Port(httpPort int32) int32 { return httpPort + 1 }

// Resize is a request: the cluster is to have this size.
type Resize struct {
	// Size is the number of pods that stay: ranks 0 to Size-1.
	Size int `json:"size"`
}

// State is the answer: how far the agent is.
type State struct {
	// Leaving are the ranks that are to go and whose broker is online. Others
	// need no waiting for.
	Leaving flux.IDSet `json:"leaving"`
	// Busy are those of them that run something.
	Busy flux.IDSet `json:"busy"`
	// Jobs is the number of jobs there.
	Jobs int `json:"jobs"`
	// Drained and Returned are the ranks that this request drained and gave back.
	Drained  flux.IDSet `json:"drained"`
	Returned flux.IDSet `json:"returned"`
	// Idle: nothing runs on the ranks that are to go, and nothing will.
	Idle bool `json:"idle"`
}
