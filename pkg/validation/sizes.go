package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func validateSizes(mc *v1alpha2.MiniCluster, path *field.Path) field.ErrorList {
	spec, size := &mc.Spec, mc.RequestedSize()
	errs := notNegativePointer(spec.Size, path.Child("size"))
	errs = append(errs, notNegative(spec.MaxSize, path.Child("maxSize"))...)
	errs = append(errs, notNegative(spec.MinSize, path.Child("minSize"))...)
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, atMost(size, path.Child("size"))...)
	errs = append(errs, atMost(spec.MaxSize, path.Child("maxSize"))...)
	if spec.MaxSize > 0 && spec.MaxSize < size {
		errs = append(errs, invalidf(path.Child("maxSize"), spec.MaxSize,
			"must not be less than spec.size, %d: raise it, lower spec.size, or leave it out", size))
	}
	if spec.MinSize > size {
		errs = append(errs, invalidf(path.Child("minSize"), spec.MinSize,
			"must not be more than spec.size, %d: lower it or raise spec.size", size))
	}
	return errs
}

// maxSize is the largest parallelism of an Indexed Job.
const maxSize = 100_000

func atMost(size int32, path *field.Path) field.ErrorList {
	if size > maxSize {
		return field.ErrorList{invalidf(path, size, "must be at most %d, what Kubernetes allows an Indexed Job", maxSize)}
	}
	return nil
}

func validateNumbers(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	errs := notNegativePointer(spec.Tasks, path.Child("tasks"))
	errs = append(errs, notNegativePointer(spec.DeadlineSeconds, path.Child("deadlineSeconds"))...)
	errs = append(errs, notNegativePointer(spec.BackoffLimit, path.Child("backoffLimit"))...)
	return append(errs, validateScaleDown(spec.ScaleDown, path.Child("scaleDown"))...)
}

func validateScaleDown(scaleDown *v1alpha2.ScaleDown, path *field.Path) field.ErrorList {
	if scaleDown == nil {
		return nil
	}
	return notNegativePointer(scaleDown.DrainTimeoutSeconds, path.Child("drainTimeoutSeconds"))
}
