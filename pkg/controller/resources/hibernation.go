package resources

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// HibernationRecord is what the ConfigMap records of the last hibernation, before its Job is deleted. A Job that is
// missing and recorded is not lost.
type HibernationRecord struct {
	// Job is the UID of the Job.
	Job types.UID `json:"job"`
	// Since is when the hibernation began.
	Since metav1.Time `json:"since"`
	// Cause is why it began, or why the cluster has not been woken since.
	Cause v1alpha2.HibernationCause `json:"cause"`
	// Kept: the state is saved, or an earlier one remains valid.
	Kept bool `json:"kept,omitempty"`
	// Unknown: no broker ran, so that the jobs are unknown.
	Unknown bool `json:"unknown,omitempty"`
	// Size, Maximum and Layout are those of the Job, the size as it was requested. An idle cluster wakes when spec.size
	// exceeds Size.
	Size    int32             `json:"size"`
	Maximum int32             `json:"maximum"`
	Layout  fluxconfig.Layout `json:"layout"`
	// Pending, Held and Demand are what the agent reported, see [control.HibernateState].
	Pending int32 `json:"pending,omitempty"`
	Held    int32 `json:"held,omitempty"`
	Demand  int32 `json:"demand,omitempty"`
	// Canceled are IDs of jobs that were canceled at the deadline.
	Canceled []string `json:"canceled,omitempty"`
	// Bytes, Location and Checksum describe the saved state.
	Bytes    int64  `json:"bytes,omitempty"`
	Location string `json:"location,omitempty"`
	Checksum string `json:"checksum,omitempty"`
	// RestoreFrom is the archive from which the Job was to start. It is set if no broker ran, because it may not have been
	// read.
	RestoreFrom string `json:"restoreFrom,omitempty"`
	// Archives are those that Jobs may have written, at the end of their pods, since Location was saved: their brokers did
	// not run when they hibernated. One of them may be the newest.
	Archives []string `json:"archives,omitempty"`
	// Discard: the state is to be discarded, and no agent was asked to do so. The next lead does it.
	Discard bool `json:"discard,omitempty"`
	// ActiveSeconds is for how long the cluster has run, all Jobs together: spec.deadlineSeconds does not count the time
	// in between.
	ActiveSeconds int64 `json:"activeSeconds,omitempty"`
	// Woken: the controller was about to create another Job. Only if the status has the UID of that Job, it did.
	Woken bool `json:"woken,omitempty"`
}

// Annotation is the record as the value of AnnotationHibernation.
func (r *HibernationRecord) Annotation() (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encoding the record of the hibernation: %w", err)
	}
	return string(text), nil
}

// Status is the record in the form of the status.
func (r *HibernationRecord) Status() *v1alpha2.HibernationStatus {
	status := &v1alpha2.HibernationStatus{
		Since: r.Since, Cause: r.Cause, Size: r.Size, Bytes: r.Bytes, Location: r.Location, Demand: r.Demand,
	}
	if !r.Unknown {
		status.Jobs = &v1alpha2.HibernatedJobs{Pending: r.Pending, Held: r.Held, Canceled: int32(len(r.Canceled))}
	}
	return status
}

// NewHibernationRecord returns the record of a Job whose agent has responded that its state is saved; nil stands for a
// Job whose broker did not run.
func NewHibernationRecord(f Fixed, job *batchv1.Job, begun v1alpha2.HibernationStatus, state *control.HibernateState,
	before *HibernationRecord, now time.Time,
) *HibernationRecord {
	r := &HibernationRecord{
		Job: job.UID, Since: begun.Since, Cause: begun.Cause, Size: hibernatedSize(job), Maximum: f.Maximum, Layout: f.Layout,
	}
	if before != nil {
		r.ActiveSeconds = before.ActiveSeconds
	}
	if started := job.Status.StartTime; started != nil {
		r.ActiveSeconds += int64(max(0, now.Sub(started.Time)) / time.Second)
	}
	if state == nil {
		r.Unknown, r.RestoreFrom = true, f.RestoreFrom
		if before != nil { // what was saved last
			r.Bytes, r.Location, r.Checksum, r.Archives = before.Bytes, before.Location, before.Checksum, slices.Clone(before.Archives)
		}
		return r
	}
	r.Kept = state.Location != ""
	r.Pending, r.Held, r.Demand = size32(state.Pending), size32(state.Held), size32(state.Demand)
	r.Bytes, r.Location, r.Checksum = max(0, state.Bytes), Shorten(Quote(state.Location), maxLocation), Shorten(Quote(state.Checksum), maxChecksum)
	for _, id := range state.Canceled[:min(len(state.Canceled), control.MaxHibernatedJobs)] {
		r.Canceled = append(r.Canceled, Shorten(Quote(id), maxHibernatedID))
	}
	return r
}

// maxArchives is the number of archives in a record: each is the path of a Job whose broker did not run when it
// hibernated.
const maxArchives = 8

// AddArchive adds the archive of a Job whose broker did not run. The last one may be the newest, so it is kept longest.
func (r *HibernationRecord) AddArchive(path string) {
	if path == "" {
		return
	}
	r.Archives = append(slices.DeleteFunc(r.Archives, func(p string) bool { return p == path }), path)
	r.Archives = r.Archives[max(0, len(r.Archives)-maxArchives):]
}

// DiscardState records that the next lead discards the state, and that no later one starts from what was saved before.
func (r *HibernationRecord) DiscardState() {
	r.Discard, r.Kept = true, false
	r.Bytes, r.Location, r.Checksum, r.RestoreFrom, r.Archives = 0, "", "", "", nil
}

// PlannedArchive returns the path of the archive in the plan of a ConfigMap, "" if there is none. It is that of the
// pods: spec.archive may have changed since the Job was created.
func PlannedArchive(config *corev1.ConfigMap) string {
	var p plan.Plan
	if config == nil || json.Unmarshal([]byte(config.Data[keyPlan]), &p) != nil {
		return ""
	}
	return p.Archive.Path
}

// hibernatedSize returns the size that was applied last. A queue may have admitted a part of the Job: the rest of the
// size was requested before, and does not wake the cluster.
func hibernatedSize(job *batchv1.Job) int32 {
	if applied, ok := SizeAnnotation(job.Annotations, v1alpha2.AnnotationAppliedSize); ok {
		return applied
	}
	return Parallelism(job)
}

// Lengths of what an agent may report: it is in a pod of the user.
const (
	maxLocation     = 1024
	maxChecksum     = 128
	maxHibernatedID = 64
)

func size32(n int) int32 { return int32(min(max(n, 0), 1<<31-1)) }

// RecordedHibernation returns the record in a ConfigMap, nil if there is none.
func RecordedHibernation(config *corev1.ConfigMap) *HibernationRecord {
	if config == nil || config.Annotations[v1alpha2.AnnotationHibernation] == "" {
		return nil
	}
	var r HibernationRecord
	if err := json.Unmarshal([]byte(config.Annotations[v1alpha2.AnnotationHibernation]), &r); err != nil || r.Job == "" {
		return nil
	}
	return &r
}

// PendingHibernation returns the record of the hibernation because of which a MiniCluster has no Job; nil if it has
// one, or if it is missing for another reason. If the ConfigMap was deleted, the status has to do.
func PendingHibernation(mc *v1alpha2.MiniCluster, job *batchv1.Job, config *corev1.ConfigMap) *HibernationRecord {
	if job != nil {
		return nil
	}
	r := RecordedHibernation(config)
	switch {
	case r == nil && config == nil:
		return reportedHibernation(mc)
	case r != nil && r.Woken && mc.Status.JobID != string(r.Job):
		return nil // the next Job was created
	}
	return r
}

// reportedHibernation returns the hibernation that the status reports as complete.
func reportedHibernation(mc *v1alpha2.MiniCluster) *HibernationRecord {
	h, c := mc.Status.Hibernation, meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionHibernated)
	if h == nil || c == nil || mc.Status.JobID == "" {
		return nil
	}
	kept := c.Status == metav1.ConditionTrue
	if !kept && c.Reason != v1alpha2.ReasonNothingKept && c.Reason != v1alpha2.ReasonWaking {
		return nil
	}
	r := &HibernationRecord{
		Job: types.UID(mc.Status.JobID), Since: h.Since, Cause: h.Cause, Kept: kept, Size: h.Size, Maximum: mc.Status.MaximumSize,
		Demand: h.Demand, Bytes: h.Bytes, Location: h.Location, Unknown: h.Jobs == nil,
	}
	if h.Jobs != nil {
		r.Pending, r.Held = h.Jobs.Pending, h.Jobs.Held
	}
	return r
}

// StopCause returns why a MiniCluster should have no Job, "" if it should have one. record is the hibernation because
// of which it has none, nil if it has one or never had.
//
// An idle cluster wakes when a larger size is requested: idleTimeoutSeconds does not change spec.size.
func StopCause(mc *v1alpha2.MiniCluster, record *HibernationRecord) v1alpha2.HibernationCause {
	switch {
	case mc.Spec.Suspend:
		return v1alpha2.CauseSuspend
	case mc.ScalesToZero() && mc.RequestedSize() == 0:
		return v1alpha2.CauseScaledToZero
	case record != nil && record.Cause == v1alpha2.CauseIdle && !record.Woken && mc.RequestedSize() <= record.Size:
		return v1alpha2.CauseIdle
	default:
		return ""
	}
}

// KeepsState reports whether a MiniCluster has something that its state can be kept in, and wants that.
func KeepsState(mc *v1alpha2.MiniCluster) bool {
	if h := mc.Spec.Hibernation; h != nil && h.State == v1alpha2.HibernationDiscard {
		return false
	}
	return mc.Spec.Archive != nil && mc.Spec.Archive.Path != "" || mc.Spec.Flux != nil && mc.Spec.Flux.State != nil
}

// HibernationGrace returns how long running jobs may take to end.
func HibernationGrace(mc *v1alpha2.MiniCluster) time.Duration {
	seconds := v1alpha2.DefaultHibernationGraceSeconds
	if h := mc.Spec.Hibernation; h != nil {
		seconds = ptr.Deref(h.GracePeriodSeconds, seconds)
	}
	return time.Duration(max(0, seconds)) * time.Second
}

// PauseDeadline reduces the deadline of a new Job by the time that earlier Jobs of its MiniCluster ran. record is nil
// if it did not hibernate.
func PauseDeadline(job *batchv1.JobSpec, record *HibernationRecord) {
	if record != nil && job.ActiveDeadlineSeconds != nil {
		job.ActiveDeadlineSeconds = new(max(1, *job.ActiveDeadlineSeconds-record.ActiveSeconds))
	}
}
