package resources

import (
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// scalePeriod is the period of the scale-up policy, the default period of the autoscaler.
const scalePeriod = 15

// toleranceMinor is the minor version of Kubernetes from which on an autoscaler can have a tolerance.
const toleranceMinor = 35

// scaleToZeroMinor is the minor version of Kubernetes from which on an autoscaler may have the minimum 0 by default.
const scaleToZeroMinor = 37

// AutoscalerName returns the name of the HorizontalPodAutoscaler of a MiniCluster.
func AutoscalerName(mc *v1alpha2.MiniCluster) string { return mc.Name }

// BuildAutoscaler returns the HorizontalPodAutoscaler that spec.autoscaling describes. Its minimum and maximum are
// within the bounds of the cluster, because the controller rejects other sizes.
//
// Sizes are numbers of pods, so each is applied in one step and without tolerance. Recommended and Fitting shrink at
// once, because other pods wait for the room: the metric size_recommended itself includes the time for which the demand
// must stay low.
func BuildAutoscaler(mc *v1alpha2.MiniCluster, f Fixed, env Environment) *autoscalingv2.HorizontalPodAutoscaler {
	a := mc.Spec.Autoscaling
	maximum := f.Maximum
	if a.MaxSize > 0 {
		maximum = max(min(maximum, a.MaxSize), mc.LowerBound(f.Maximum))
	}
	minimum := min(max(a.MinSize, mc.LowerBound(f.Maximum)), maximum)
	if mc.ScalesToZero() && a.MinSize == 0 && a.Metric != v1alpha2.AutoscalingCPU && env.AtLeast(scaleToZeroMinor) {
		minimum = 0 // it hibernates
	}
	idle := v1alpha2.DefaultIdleSeconds
	if a.IdleSeconds != nil {
		idle = *a.IdleSeconds
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: objectMeta(mc, AutoscalerName(mc)),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscaledObject(mc), MinReplicas: &minimum, MaxReplicas: maximum,
			Metrics: []autoscalingv2.MetricSpec{autoscalingMetric(mc)},
		},
	}
	if a.Metric == v1alpha2.AutoscalingCPU {
		hpa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &idle},
		}
		return hpa
	}
	if a.Metric != v1alpha2.AutoscalingDemand {
		idle = 0
	}
	var tolerance *resource.Quantity
	if env.ServerMinor >= toleranceMinor {
		tolerance = resource.NewQuantity(0, resource.DecimalSI)
	}
	hpa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
		ScaleUp: &autoscalingv2.HPAScalingRules{
			StabilizationWindowSeconds: new(int32(0)), Tolerance: tolerance,
			Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: maximum, PeriodSeconds: scalePeriod}},
		},
		ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &idle, Tolerance: tolerance},
	}
	return hpa
}

func autoscaledObject(mc *v1alpha2.MiniCluster) autoscalingv2.CrossVersionObjectReference {
	return autoscalingv2.CrossVersionObjectReference{
		APIVersion: v1alpha2.MiniClusterKind.GroupVersion().String(), Kind: v1alpha2.MiniClusterKind.Kind, Name: mc.Name,
	}
}

// autoscalingMetric returns the metric that the size follows.
func autoscalingMetric(mc *v1alpha2.MiniCluster) autoscalingv2.MetricSpec {
	a := mc.Spec.Autoscaling
	if a.Metric == v1alpha2.AutoscalingCPU {
		utilization := v1alpha2.DefaultCPUUtilization
		if a.CPUUtilization != nil {
			utilization = *a.CPUUtilization
		}
		return autoscalingv2.MetricSpec{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &utilization},
			},
		}
	}
	name := "size_recommended"
	switch a.Metric {
	case v1alpha2.AutoscalingDemand:
		name = "size_demanded"
	case v1alpha2.AutoscalingFitting:
		name = "size_fitting"
	case v1alpha2.AutoscalingRecommended, v1alpha2.AutoscalingCPU:
	}
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ObjectMetricSourceType,
		Object: &autoscalingv2.ObjectMetricSource{
			DescribedObject: autoscaledObject(mc), Metric: autoscalingv2.MetricIdentifier{Name: name},
			// The size is the value divided by 1.
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(1, resource.DecimalSI)},
		},
	}
}

// Scales reports whether an autoscaler scales a MiniCluster.
func Scales(hpa *autoscalingv2.HorizontalPodAutoscaler, mc *v1alpha2.MiniCluster) bool {
	ref := hpa.Spec.ScaleTargetRef
	group, _, _ := strings.Cut(ref.APIVersion, "/")
	return ref.Kind == v1alpha2.MiniClusterKind.Kind && ref.Name == mc.Name && group == v1alpha2.MiniClusterKind.Group
}
