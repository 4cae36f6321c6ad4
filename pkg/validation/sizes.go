package validation

import (
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// validateSizes checks the sizes against each other. The default of spec.size is minSize, so minSize may exceed an
// unset size, but not maxSize.
func validateSizes(mc *v1alpha2.MiniCluster, path *field.Path) field.ErrorList {
	spec, size := &mc.Spec, mc.RequestedSize()
	errs := notNegativePointer(spec.Size, path.Child("size"))
	errs = append(errs, notNegative(spec.MaxSize, path.Child("maxSize"))...)
	errs = append(errs, notNegative(spec.MinSize, path.Child("minSize"))...)
	if len(errs) > 0 {
		return errs
	}
	if spec.Size != nil {
		errs = append(errs, atMost(size, path.Child("size"))...)
	}
	errs = append(errs, atMost(spec.MaxSize, path.Child("maxSize"))...)
	errs = append(errs, atMost(spec.MinSize, path.Child("minSize"))...)
	switch {
	case spec.MaxSize == 0 || spec.MaxSize >= size:
	case spec.Size == nil:
		errs = append(errs, invalidf(path.Child("maxSize"), spec.MaxSize,
			"must not be less than spec.minSize, %d: raise it, lower spec.minSize, or omit it", spec.MinSize))
	default:
		errs = append(errs, invalidf(path.Child("maxSize"), spec.MaxSize,
			"must not be less than spec.size, %d: raise it, lower spec.size, or omit it", size))
	}
	if spec.MinSize > size && (size > 0 || !mc.ScalesToZero()) {
		errs = append(errs, invalidf(path.Child("minSize"), spec.MinSize,
			"must not be more than spec.size, %d: lower it or raise spec.size", size))
	}
	return errs
}

// maxSize is the largest parallelism of an Indexed Job. Up to this number of
// completions Kubernetes sets no further limit on Jobs with a backoffLimitPerIndex.
const maxSize = 100_000

func atMost(size int32, path *field.Path) field.ErrorList {
	if size > maxSize {
		return field.ErrorList{invalidf(path, size, "must be at most %d, the largest parallelism of an Indexed Job", maxSize)}
	}
	return nil
}

// maxSeconds is the largest number of seconds that is a time.Duration: controllers
// of Kubernetes multiply seconds by a billion, and a product that overflows is a
// time in the past.
const maxSeconds = int64(math.MaxInt64 / time.Second)

func validateSeconds(seconds *int64, path *field.Path) field.ErrorList {
	if seconds != nil && *seconds > maxSeconds {
		return field.ErrorList{invalidf(path, *seconds, "must be at most %d seconds (292 years): lower it", maxSeconds)}
	}
	return notNegativePointer(seconds, path)
}

func validateNumbers(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	errs := notNegativePointer(spec.Tasks, path.Child("tasks"))
	errs = append(errs, validateSeconds(spec.DeadlineSeconds, path.Child("deadlineSeconds"))...)
	errs = append(errs, notNegativePointer(spec.BackoffLimit, path.Child("backoffLimit"))...)
	return append(errs, validateScaling(spec, path)...)
}

func validateScaleDown(scaleDown *v1alpha2.ScaleDown, path *field.Path) field.ErrorList {
	if scaleDown == nil {
		return nil
	}
	errs := notNegativePointer(scaleDown.DrainTimeoutSeconds, path.Child("drainTimeoutSeconds"))
	if scaleDown.OnUnreachable == "" {
		return errs
	}
	return append(errs, oneOf(&scaleDown.OnUnreachable, path.Child("onUnreachable"),
		v1alpha2.OnUnreachableProceed, v1alpha2.OnUnreachableWait)...)
}
