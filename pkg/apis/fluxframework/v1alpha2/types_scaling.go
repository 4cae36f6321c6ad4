package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Opportunistic describes how a MiniCluster shares free capacity. Ranks from minSize on
// make room for all pods that are not opportunistic.
type Opportunistic struct {
	// Share of the MiniCluster in relation to other opportunistic MiniClusters.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight,omitempty"`

	// Resources that the MiniCluster keeps free on its eligible nodes, by name: a
	// quantity, or a percentage of what is allocatable. Default: that of the flag
	// --capacity-reserve of minicluster-metrics.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Reserve map[corev1.ResourceName]intstr.IntOrString `json:"reserve,omitempty"`
}

// Autoscaling describes the HorizontalPodAutoscaler that the controller creates.
type Autoscaling struct {
	// Smallest size that the autoscaler sets. Default: spec.minSize, at least 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MinSize int32 `json:"minSize,omitempty"`

	// Largest size that the autoscaler sets. Default: the maximum of the cluster.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxSize int32 `json:"maxSize,omitempty"`

	// What the size follows: Recommended, the size that the jobs need, as far as
	// there is room for it; Demand, the size that the jobs need; Fitting, the size
	// that there is room for; CPU, the usage of the pods.
	// +optional
	// +kubebuilder:default=Recommended
	// +kubebuilder:validation:Enum=Recommended;Demand;Fitting;CPU
	Metric AutoscalingMetric `json:"metric,omitempty"`

	// Average CPU usage of the pods in percent of their requests, with metric CPU.
	// Default: 80.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	CPUUtilization *int32 `json:"cpuUtilization,omitempty"`

	// Seconds that the demand or the CPU usage must stay low before the cluster
	// shrinks. It shrinks at once when there is less room.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	IdleSeconds *int32 `json:"idleSeconds,omitempty"`
}

// AutoscalingMetric is what the size of an autoscaled MiniCluster follows.
type AutoscalingMetric string

const (
	// AutoscalingRecommended follows the jobs, as far as there is room.
	AutoscalingRecommended AutoscalingMetric = "Recommended"
	// AutoscalingDemand follows the jobs.
	AutoscalingDemand AutoscalingMetric = "Demand"
	// AutoscalingFitting takes all room that there is.
	AutoscalingFitting AutoscalingMetric = "Fitting"
	// AutoscalingCPU follows the CPU usage of the pods.
	AutoscalingCPU AutoscalingMetric = "CPU"
)
