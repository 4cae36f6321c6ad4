package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Hibernation describes how the cluster hibernates: its work stops, its state is
// saved, and its Job and pods are deleted until it wakes.
type Hibernation struct {
	// What to do with the state of the Flux instance. Keep saves it to spec.archive,
	// or keeps it in the volume of spec.flux.state, and does not delete the Job before
	// that succeeded. Discard saves nothing.
	// +optional
	// +kubebuilder:default=Keep
	// +kubebuilder:validation:Enum=Keep;Discard
	State HibernationState `json:"state,omitempty"`

	// Seconds that running jobs have to end before they are canceled. Jobs that
	// wait stay in the queue.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=0
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`

	// Seconds without a running or pending job after which the cluster hibernates;
	// 0: never. A larger spec.size wakes it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	IdleTimeoutSeconds int32 `json:"idleTimeoutSeconds,omitempty"`

	// Let size 0 hibernate the cluster instead of rejecting it. A larger size wakes
	// it.
	// +optional
	ScaleToZero bool `json:"scaleToZero,omitempty"`

	// Apply changes of fields that are fixed while the cluster runs: WhenIdle
	// hibernates and wakes the cluster as soon as no job runs.
	// +optional
	// +kubebuilder:default=Never
	// +kubebuilder:validation:Enum=Never;WhenIdle
	RestartForChanges RestartForChanges `json:"restartForChanges,omitempty"`
}

// HibernationState is what a hibernation does with the state of the Flux instance.
type HibernationState string

const (
	// HibernationKeep saves the state.
	HibernationKeep HibernationState = "Keep"
	// HibernationDiscard saves nothing.
	HibernationDiscard HibernationState = "Discard"
)

// RestartForChanges is when changes of fields that are fixed while the cluster runs are applied.
type RestartForChanges string

const (
	// RestartNever applies them when the cluster wakes.
	RestartNever RestartForChanges = "Never"
	// RestartWhenIdle restarts the cluster as soon as no job runs.
	RestartWhenIdle RestartForChanges = "WhenIdle"
)

// RestoreSource names the MiniCluster whose archive a new MiniCluster starts from.
type RestoreSource struct {
	// Name of a MiniCluster in the same namespace that hibernates or has finished.
	// The file spec.archive.path of that MiniCluster must be at the same path in
	// the pods of this one.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// HibernationCause is why a cluster hibernates.
type HibernationCause string

const (
	// CauseSuspend means that spec.suspend is true.
	CauseSuspend HibernationCause = "Suspend"
	// CauseScaledToZero means that spec.size is 0.
	CauseScaledToZero HibernationCause = "ScaledToZero"
	// CauseIdle means that no job ran or waited for idleTimeoutSeconds.
	CauseIdle HibernationCause = "Idle"
	// CauseChanges means that the cluster restarts to apply changes.
	CauseChanges HibernationCause = "Changes"
)

// HibernationStatus describes a cluster that hibernates, or is about to.
type HibernationStatus struct {
	// Time at which the hibernation began.
	Since metav1.Time `json:"since"`

	// Why the cluster hibernates: Suspend, ScaledToZero, Idle or Changes.
	// +optional
	Cause HibernationCause `json:"cause,omitempty"`

	// Time at which jobs that still run are canceled, until the state is saved.
	// Unset: they are not canceled.
	// +optional
	Deadline *metav1.Time `json:"deadline,omitempty"`

	// Size at which the cluster stopped.
	// +optional
	Size int32 `json:"size,omitempty"`

	// Jobs that were saved.
	// +optional
	Jobs *HibernatedJobs `json:"jobs,omitempty"`

	// Size of the saved state in bytes.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`

	// File or directory of the saved state, in the pods.
	// +optional
	Location string `json:"location,omitempty"`

	// Size of the cluster that the pending jobs need. The metric size_demanded has
	// this value while the cluster hibernates.
	// +optional
	Demand int32 `json:"demand,omitempty"`
}

// HibernatedJobs are numbers of jobs that were saved.
type HibernatedJobs struct {
	// Jobs that wait for resources.
	// +optional
	Pending int32 `json:"pending,omitempty"`

	// Jobs that are held.
	// +optional
	Held int32 `json:"held,omitempty"`

	// Jobs that were canceled because they still ran at the deadline.
	// +optional
	Canceled int32 `json:"canceled,omitempty"`
}
