package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MiniClusterStatus is the observed state of a MiniCluster.
type MiniClusterStatus struct {
	// Number of pods that exist and have not finished (status.active of the
	// Job). The scale subresource reports it as status.replicas. It is always
	// present, so that clients can distinguish 0 from an unset field.
	// +optional
	Size int32 `json:"size"`

	// Label selector of the pods, for the HorizontalPodAutoscaler.
	// +optional
	Selector string `json:"selector,omitempty"`

	// Largest size of the cluster, fixed at creation.
	// +optional
	MaximumSize int32 `json:"maximumSize,omitempty"`

	// Number of pods that are ready (status.ready of the Job, or 1 while that does
	// not count a lead that is ready).
	// +optional
	ReadySize int32 `json:"readySize"`

	// Progress of a drain, while the cluster waits for one before it shrinks.
	// +optional
	Drain *DrainStatus `json:"drain,omitempty"`

	// Ranks that are drained because their nodes go away.
	// +optional
	// +listType=atomic
	NodeDrains []NodeDrainStatus `json:"nodeDrains,omitempty"`

	// Hibernation that is in progress or complete.
	// +optional
	Hibernation *HibernationStatus `json:"hibernation,omitempty"`

	// UID of the Job. Present for compatibility.
	// +optional
	JobID string `json:"jobid,omitempty"`

	// Generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Accepted, Ready, Progressing, ScalingLimited, Suspended, Hibernated,
	// Complete, Failed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DrainStatus describes ranks that are drained before their pods are removed.
type DrainStatus struct {
	// Size that the cluster shrinks to. Once the cluster no longer shrinks: the
	// size from which on ranks are undrained.
	Size int32 `json:"size"`

	// Time at which the drain began, by the clock of the controller.
	Since metav1.MicroTime `json:"since"`

	// Seconds since the drain began, recorded every few seconds. Another
	// controller continues from here; drainTimeoutSeconds is compared with it.
	// +optional
	ElapsedSeconds int32 `json:"elapsedSeconds,omitempty"`
}
