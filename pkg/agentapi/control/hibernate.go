package control

import (
	"context"
	"time"
)

// PathHibernate is the path of the request to stop the work and save its state before the Job is deleted, or to
// continue the work. Agents of earlier releases do not have it.
const PathHibernate = "/v1/hibernate"

// MaxHibernatedJobs is the largest number of IDs in each list of a [HibernateState].
const MaxHibernatedJobs = 20

// Hibernate is a request to stop the queues, wait until running jobs end, and save the state. It may be repeated: the
// controller polls the agent with it.
//
// The order is: stop the queues; wait for running jobs, and cancel those that run at the deadline; save the state to
// the archive, or, with a state directory on a volume, stop the broker so that the content of the directory is
// complete; read back what was saved. Only then the phase is [PhaseSaved].
//
// After the phase Saved, the controller writes its record and deletes the Job. A lead that restarts in between must not
// start jobs: a marker beside the archive or in the state directory says so. A request with Cancel removes it, and so
// does the lead of another Job or of another MiniCluster: the marker contains Plan.Incarnation and a hash of the
// CURVE certificate of its time, and one of them differs then.
type Hibernate struct {
	// Deadline is when running jobs are canceled, an absolute time: neither a failover of the controller nor a restart
	// of the lead changes it. A repeated request may contain an earlier one. If it is zero, jobs are never canceled: the
	// controller sends a request with Cancel if it does not want to wait.
	Deadline time.Time `json:"deadline,omitzero"`
	// Query: nothing changes. The response says what runs, and for how long nothing has been running or pending.
	Query bool `json:"query,omitempty"`
	// Idle: the cluster hibernates because no job runs or is pending. While one is pending that was submitted since then,
	// the phase stays [PhaseDraining]: the controller sends a request with Cancel. Agents of earlier releases ignore it.
	Idle bool `json:"idle,omitempty"`
	// Discard: nothing is saved. The phase is Saved as soon as no job runs.
	Discard bool `json:"discard,omitempty"`
	// Cancel: the cluster does not hibernate. The queues that the agent stopped start again, and the marker is removed.
	// The phase of the response is [PhaseRunning] once that is done.
	Cancel bool `json:"cancel,omitempty"`
}

// HibernatePhase is the progress of a hibernation.
type HibernatePhase string

// Phases of a hibernation.
const (
	// PhaseRunning: the cluster does not hibernate: the response to Query, and to Cancel.
	PhaseRunning HibernatePhase = "Running"
	// PhaseDraining: the queues are stopped, and jobs still run.
	PhaseDraining HibernatePhase = "Draining"
	// PhaseSaving: no job runs, and the state is being saved and verified.
	PhaseSaving HibernatePhase = "Saving"
	// PhaseSaved: the state is saved and verified. The pods may be deleted.
	PhaseSaved HibernatePhase = "Saved"
	// PhaseFailed: the state could not be saved, as the message says. The queues stay stopped. A repeated request tries
	// again.
	PhaseFailed HibernatePhase = "Failed"
)

// HibernateState is the response to [Hibernate].
type HibernateState struct {
	Phase HibernatePhase `json:"phase"`
	// Running is the number of running jobs. RunningIDs are some of their IDs, as commands print them.
	Running    int      `json:"running,omitempty"`
	RunningIDs []string `json:"runningIDs,omitempty"`
	// Canceled are IDs of jobs that were canceled at the deadline. They do not run again unless a user submits them.
	Canceled []string `json:"canceled,omitempty"`
	// Pending and Held are the numbers of jobs that wait for resources, and of those that are held (urgency 0).
	Pending int `json:"pending,omitempty"`
	Held    int `json:"held,omitempty"`
	// IdleSeconds is for how long no job has been running or pending, 0 if one is. Held jobs do not count as pending.
	IdleSeconds int64 `json:"idleSeconds,omitempty"`
	// Demand is the size that the pending jobs need, as the metric size_demanded counts; 0 if there are none.
	Demand int `json:"demand,omitempty"`
	// Bytes is the size of what was saved, Location its file or directory, and Checksum the SHA-256 of a file, in hex. The
	// location is "" if nothing is kept.
	Bytes    int64  `json:"bytes,omitempty"`
	Location string `json:"location,omitempty"`
	Checksum string `json:"checksum,omitempty"`
	// Message explains the phase [PhaseFailed].
	Message string `json:"message,omitempty"`
}

// Hibernate sends the request to the agent at the address of a pod. Errors are those of Resize. The error is a
// [*RefusedError] with the code 404 if the agent is of an earlier release.
func (c *Client) Hibernate(ctx context.Context, ip string, port int, request Hibernate) (HibernateState, error) {
	var state HibernateState
	if err := c.post(ctx, ip, port, PathHibernate, request, &state); err != nil {
		return HibernateState{}, err
	}
	return state, nil
}
