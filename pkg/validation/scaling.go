package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Largest values of spec.opportunistic.weight, spec.autoscaling.idleSeconds, which is the
// longest stabilization window of an autoscaler, and spec.autoscaling.cpuUtilization.
const (
	maxWeight         = 1000
	maxIdleSeconds    = 3600
	maxCPUUtilization = 1000
)

// validateScaling checks the fields that describe how a MiniCluster is scaled. The
// controller and the metrics API server use them at any time, so they may change.
func validateScaling(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	errs := validateScaleDown(spec.ScaleDown, path.Child("scaleDown"))
	if up := spec.ScaleUp; up != nil {
		errs = append(errs, notNegative(up.UnschedulableTimeoutSeconds, path.Child("scaleUp", "unschedulableTimeoutSeconds"))...)
	}
	if d := spec.Disruption; d != nil {
		if d.WhenIdle != "" {
			errs = append(errs, oneOf(&d.WhenIdle, path.Child("disruption", "whenIdle"), v1alpha2.WhenIdleKeep, v1alpha2.WhenIdleAllow)...)
		}
		errs = append(errs, notNegativePointer(d.DrainTimeoutSeconds, path.Child("disruption", "drainTimeoutSeconds"))...)
	}
	errs = append(errs, validateHibernation(spec.Hibernation, path.Child("hibernation"))...)
	errs = append(errs, validateOpportunistic(spec.Opportunistic, path.Child("opportunistic"))...)
	return append(errs, validateAutoscaling(spec.Autoscaling, path.Child("autoscaling"))...)
}

func validateOpportunistic(o *v1alpha2.Opportunistic, path *field.Path) field.ErrorList {
	if o == nil {
		return nil
	}
	var errs field.ErrorList
	if o.Weight < 0 || o.Weight > maxWeight {
		errs = append(errs, invalidf(path.Child("weight"), o.Weight, "must be between 1 and %d", maxWeight))
	}
	if _, name, err := reserve.FromShares(o.Reserve); err != nil {
		share := o.Reserve[name]
		errs = append(errs, field.Invalid(path.Child("reserve").Key(string(name)), share.String(), err.Error()))
	}
	return errs
}

func validateAutoscaling(a *v1alpha2.Autoscaling, path *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	errs := notNegative(a.MinSize, path.Child("minSize"))
	errs = append(errs, notNegative(a.MaxSize, path.Child("maxSize"))...)
	errs = append(errs, atMost(a.MinSize, path.Child("minSize"))...)
	errs = append(errs, atMost(a.MaxSize, path.Child("maxSize"))...)
	if a.MaxSize > 0 && a.MinSize > a.MaxSize {
		errs = append(errs, invalidf(path.Child("minSize"), a.MinSize, "must not be more than maxSize, %d: lower minSize or raise maxSize", a.MaxSize))
	}
	if a.Metric != "" {
		errs = append(errs, oneOf(&a.Metric, path.Child("metric"), v1alpha2.AutoscalingRecommended, v1alpha2.AutoscalingDemand,
			v1alpha2.AutoscalingFitting, v1alpha2.AutoscalingCPU)...)
	}
	if u := a.CPUUtilization; u != nil {
		if *u < 1 || *u > maxCPUUtilization {
			errs = append(errs, invalidf(path.Child("cpuUtilization"), *u, "must be between 1 and %d", maxCPUUtilization))
		}
		if a.Metric != v1alpha2.AutoscalingCPU {
			errs = append(errs, invalidf(path.Child("cpuUtilization"), *u, "cpuUtilization needs metric CPU: set metric to CPU or remove cpuUtilization"))
		}
	}
	if s := a.IdleSeconds; s != nil && (*s < 0 || *s > maxIdleSeconds) {
		errs = append(errs, invalidf(path.Child("idleSeconds"), *s, "must be between 0 and %d, the longest window of an autoscaler", maxIdleSeconds))
	}
	return errs
}
