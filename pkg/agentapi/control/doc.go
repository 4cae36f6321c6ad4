// Package control is the protocol with which the controller asks the agent of a lead's pod to prepare a change of
// size or a hibernation: its messages, the certificates of both sides, and the client of the controller. The server is
// in package serve.
//
// There are four requests. The first contains the new size of the cluster, and may be repeated: the agent drains the
// ranks to remove, undrains those that stay, and reports which of the former are still busy. The second contains a
// quorum that was lowered while the lead broker may still wait for it. The third stops the work and saves its state.
// The fourth contains the ranks on nodes that go away.
//
// Both sides have certificates of an authority that exists for one MiniCluster and whose key is discarded after
// signing them. A certificate cannot contain the address of a pod, so the controller connects to the address and
// expects the host name.
package control

import (
	"time"

	"minicluster.internal/operator/pkg/flux"
)

const (
	// Reason is the reason with which the agent drains ranks. The agent never changes drains with another reason.
	Reason = "scale-down"
	// ReasonPodStops is the reason with which the agent of a follower drains its own rank while its pod stops. The agent
	// of the next pod with that rank undrains it.
	ReasonPodStops = "the pod stops"
	// PathResize is the path of a request.
	PathResize = "/v1/resize"
	// PathQuorum is the path of the request about the quorum. Agents of earlier releases do not have it.
	PathQuorum = "/v1/quorum"
	// MaxJobs is the largest number of jobs in a response.
	MaxJobs = 8
	// Timeout is the longest time that the agent takes to respond.
	Timeout = 5 * time.Second
)

// Port returns the port on which the agent of a lead's pod listens, next to the port for health and metrics.
func Port(httpPort int32) int32 { return httpPort + 1 }

// Resize is a request with the new size of the cluster.
type Resize struct {
	// Size is the number of pods that stay: ranks 0 to Size-1.
	Size int `json:"size"`
}

// Quorum is a request with a quorum that was lowered.
type Quorum struct {
	// Quorum is the number of brokers for which the lead broker waits.
	Quorum int `json:"quorum"`
}

// Job is a job that runs on a rank to remove.
type Job struct {
	// ID is the ID as commands print it.
	ID string `json:"id"`
	// Expiration is when its time limit ends the job, in seconds since 1970; 0: it has no time limit.
	Expiration float64 `json:"expiration,omitempty"`
}

// State is the response: the progress of the agent.
type State struct {
	// Leaving are the ranks to remove whose broker is online. The controller need not wait for others.
	Leaving flux.IDSet `json:"leaving"`
	// Busy are those of them that run something.
	Busy flux.IDSet `json:"busy"`
	// Jobs is the number of jobs there.
	Jobs int `json:"jobs"`
	// LastJobs are those of them that end last by their time limits, at most [MaxJobs], the last one first. Agents of
	// earlier releases do not send them.
	LastJobs []Job `json:"lastJobs,omitempty"`
	// Drained and Returned are the ranks that this request drained and undrained.
	Drained  flux.IDSet `json:"drained"`
	Returned flux.IDSet `json:"returned"`
	// Idle: nothing runs on the ranks to remove, and nothing will.
	Idle bool `json:"idle"`
}
