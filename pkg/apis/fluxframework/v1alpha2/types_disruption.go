package v1alpha2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Disruption describes what happens to ranks when their nodes go away. The
// controller watches nodes only with --watch-nodes.
type Disruption struct {
	// Seconds that jobs may continue on a node after a taint has announced its
	// deletion; then the pods are evicted although their ranks are busy. Unset: no
	// limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DrainTimeoutSeconds *int32 `json:"drainTimeoutSeconds,omitempty"`
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
	// Name of the node.
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
