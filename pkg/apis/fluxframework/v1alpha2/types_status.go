package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MiniClusterStatus is what the controller last saw of a MiniCluster.
type MiniClusterStatus struct {
	// Pods of the cluster that exist and have not finished (status.active of
	// the Job). The scale subresource reports it as status.replicas. It is
	// always written, so that a size of 0 is told from none.
	// +optional
	Size int32 `json:"size"`

	// Label selector of the cluster's pods, for the HorizontalPodAutoscaler.
	// +optional
	Selector string `json:"selector,omitempty"`

	// Largest size, fixed when the cluster was created.
	// +optional
	MaximumSize int32 `json:"maximumSize,omitempty"`

	// Pods of the cluster that are ready (status.ready of the Job).
	// +optional
	ReadySize int32 `json:"readySize"`

	// The wait before the cluster shrinks, while there is one.
	// +optional
	Drain *DrainStatus `json:"drain,omitempty"`

	// Kept for compatibility; the UID of the Job.
	// +optional
	JobID string `json:"jobid,omitempty"`

	// Generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Accepted, Ready, Progressing, ScalingLimited, Suspended, Complete, Failed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DrainStatus tells of ranks that are drained before their pods go.
type DrainStatus struct {
	// Size that the cluster is to have; once the cluster is not to shrink any more,
	// the size at which ranks are given back.
	Size int32 `json:"size"`

	// When this size was first worked on: what drainTimeoutSeconds counts from.
	Since metav1.MicroTime `json:"since"`
}
