package v1alpha2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Disruption describes what happens to ranks when their nodes go away. The
// controller watches nodes only with --watch-nodes.
type Disruption struct {
	// What node autoscalers may do with pods whose ranks have been idle for some
	// minutes: Keep asks them to leave the pods where they are, Allow does not.
	// +optional
	// +kubebuilder:default=Keep
	// +kubebuilder:validation:Enum=Keep;Allow
	WhenIdle WhenIdle `json:"whenIdle,omitempty"`

	// Seconds that jobs may continue on a node after a taint has announced its
	// deletion; then the pods are evicted although their ranks are busy. Unset: no
	// limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DrainTimeoutSeconds *int32 `json:"drainTimeoutSeconds,omitempty"`
}

// WhenIdle is what node autoscalers may do with pods whose ranks are idle.
type WhenIdle string

const (
	// WhenIdleKeep asks node autoscalers to leave the pods where they are.
	WhenIdleKeep WhenIdle = "Keep"
	// WhenIdleAllow lets node autoscalers evict the pods.
	WhenIdleAllow WhenIdle = "Allow"
)

// ScaleUp describes how a MiniCluster grows.
type ScaleUp struct {
	// Seconds after which a size is reduced by the number of pods that cannot be
	// scheduled. Pods with scheduling gates do not count. 0: never.
	// +optional
	// +kubebuilder:validation:Minimum=0
	UnschedulableTimeoutSeconds int32 `json:"unschedulableTimeoutSeconds,omitempty"`
}

// Placement is how the pods of a MiniCluster are distributed over the nodes.
type Placement string

const (
	// PlacementSpread prefers nodes without a pod of the MiniCluster, in one zone.
	PlacementSpread Placement = "Spread"
	// PlacementPack prefers nodes with pods of the MiniCluster.
	PlacementPack Placement = "Pack"
)

// NodeDrainStatus describes ranks that are drained because their node goes away.
type NodeDrainStatus struct {
	// Name of the node, empty beyond 500 nodes.
	Node string `json:"node"`

	// Why the ranks are drained.
	Reason string `json:"reason"`

	// Indexes of the pods on the node, for example 3-4. Empty: they have left, and
	// their ranks are about to be undrained.
	// +optional
	Indexes string `json:"indexes,omitempty"`

	// Those of the indexes whose ranks run jobs.
	// +optional
	Busy string `json:"busy,omitempty"`

	// Time at which the drain began, by the clock of the controller.
	Since metav1.Time `json:"since"`
}
