// Package hibernate is the record of a hibernation: a marker beside the archive, or in the state directory on a volume,
// that survives the agent, the lead's pod and its Job. A lead that finds it does not start jobs before the controller
// says so.
package hibernate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

// PhaseWaking is the phase of a record from the request to continue, the start of the next Job, or the end of a pod
// with pending jobs, until the queues are as they were before. The controller does not see it.
const PhaseWaking control.HibernatePhase = "Waking"

// StopReason is the reason with which the agent stops the queues.
const StopReason = "the cluster hibernates"

// PauseReason is the reason with which the agent stops the queues when its pod stops.
const PauseReason = "the cluster stops"

// fileRecord is the name of the record in a state directory, and of the record of a cluster that keeps nothing.
const fileRecord = "minicluster.hibernation"

// suffix is appended to the name of an archive.
const suffix = ".hibernation"

// Record is the state of a hibernation.
type Record struct {
	// State is the last response to the controller.
	State control.HibernateState `json:"state"`
	// Cluster and Incarnation identify the MiniCluster and its Job.
	Cluster     string `json:"cluster"`
	Incarnation string `json:"incarnation,omitempty"`
	// Flux is the version that writes the state.
	Flux string `json:"flux,omitempty"`
	// Deadline is when running jobs are canceled; zero: never.
	Deadline time.Time `json:"deadline,omitzero"`
	// Discard: nothing is saved.
	Discard bool `json:"discard,omitempty"`
	// Queues are the queues as they were before.
	Queues []Queue `json:"queues,omitempty"`
	// CanceledAt is when jobs were canceled last.
	CanceledAt time.Time `json:"canceledAt,omitzero"`
	// FailedAt is when saving failed last.
	FailedAt time.Time `json:"failedAt,omitzero"`
	// Stopped: the saved state has all queues stopped.
	Stopped bool `json:"stopped,omitempty"`
}

// Queue is the former state of a queue.
type Queue struct {
	Name    string `json:"name,omitempty"`
	Started bool   `json:"started"`
	Reason  string `json:"reason,omitempty"`
}

// File returns the path of the record of a cluster: beside the archive, or in the state directory on a volume. A
// cluster with neither has it in a directory with the lifetime of the pod.
func File(p *pod.Pod, stateDir string) string {
	switch {
	case p.Plan.StateVolume != "":
		return filepath.Join(stateDir, fileRecord)
	case p.Plan.Archive.Path != "":
		return OfArchive(p.Path(p.Plan.Archive.Path))
	default:
		return filepath.Join(stateDir, fileRecord)
	}
}

// OfArchive returns the path of the record beside an archive.
func OfArchive(archive string) string { return archive + suffix }

// Read returns a record, nil if there is none.
func Read(file string) (*Record, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var r Record
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of the hibernation: %w", err)
	}
	return &r, nil
}

// Write replaces the record.
func (r *Record) Write(file string, owner *atomicfile.Owner) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = atomicfile.Write(file, text, 0o644, owner)
	}
	if err != nil {
		return fmt.Errorf("recording the hibernation: %w", err)
	}
	return nil
}

// Remove removes a record.
func Remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the record of the hibernation: %w", err)
	}
	return nil
}

// Pending reports whether the cluster must not run jobs: it hibernates.
func (r *Record) Pending() bool { return r != nil && r.State.Phase != PhaseWaking }

// Expired reports whether jobs that still run have to be canceled.
func (r *Record) Expired(now time.Time) bool { return !r.Deadline.IsZero() && !now.Before(r.Deadline) }

// Earlier reports whether a deadline replaces that of the record, which never becomes later.
func (r *Record) Earlier(deadline time.Time) bool {
	return !deadline.IsZero() && (r.Deadline.IsZero() || deadline.Before(r.Deadline))
}

// Remember records the state of the queues.
func (r *Record) Remember(queues []flux.QueueStatus) {
	r.Queues = nil
	for _, q := range queues {
		r.Queues = append(r.Queues, Queue{Name: q.Name, Started: q.Started, Reason: q.StopReason})
	}
}

// StoppedQueues returns the names of the queues that were stopped before.
func (r *Record) StoppedQueues() map[string]bool {
	stopped := map[string]bool{}
	for _, q := range r.Queues {
		stopped[q.Name] = !q.Started
	}
	return stopped
}

// RestoreQueues starts the queues that the agent stopped. A queue that was stopped before stays stopped, and one that
// the record does not know, because the configuration changed, is started.
func (r *Record) RestoreQueues(ctx context.Context, client *flux.Client) error {
	queues, err := client.Queues(ctx)
	if err != nil {
		return fmt.Errorf("listing queues: %w", err)
	}
	known := map[string]Queue{}
	for _, q := range r.Queues {
		known[q.Name] = q
	}
	for _, q := range queues {
		q.Started, q.StopReason = true, ""
		if was, ok := known[q.Name]; ok {
			q.Started, q.StopReason = was.Started, was.Reason
		}
		if err := client.RestoreQueue(ctx, q); err != nil {
			return fmt.Errorf("starting queue %q: %w", q.Name, err)
		}
	}
	return nil
}
