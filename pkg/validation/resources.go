package validation

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// These are the rules of Kubernetes' own validation, which is not available as a library.

func validateResources(resources *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	if resources == nil {
		return nil
	}
	errs := validateResourceList(resources.Limits, path.Child("limits"))
	errs = append(errs, validateResourceList(resources.Requests, path.Child("requests"))...)
	errs = append(errs, validateHugePages(resources, path)...)
	for _, name := range slices.Sorted(maps.Keys(resources.Requests)) {
		request, at := resources.Requests[name], path.Child("requests").Key(string(name))
		limit, limited := resources.Limits[name]
		switch {
		case !overcommits(name) && !limited:
			errs = append(errs, field.Required(path.Child("limits").Key(string(name)), "a request of this resource needs a limit: set the same limit"))
		case !overcommits(name) && request.Cmp(limit) != 0:
			errs = append(errs, invalidf(at, request.String(), "must be equal to the limit, %s, for this resource", limit.String()))
		case limited && request.Cmp(limit) > 0:
			errs = append(errs, invalidf(at, request.String(),
				"must not be more than the limit, %s: lower it or raise the limit", limit.String()))
		}
	}
	return errs
}

// validateHugePages rejects containers that request huge pages and nothing else.
func validateHugePages(resources *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	var huge, other bool
	for _, list := range []corev1.ResourceList{resources.Limits, resources.Requests} {
		for name := range list {
			huge = huge || isHugePages(name)
			other = other || name == corev1.ResourceCPU || name == corev1.ResourceMemory
		}
	}
	if huge && !other {
		return field.ErrorList{field.Forbidden(path, "huge pages require cpu or memory: add one of them")}
	}
	return nil
}

func validateResourceList(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		quantity, at := list[name], path.Key(string(name))
		errs = append(errs, validateResourceName(name, at)...)
		switch {
		case quantity.Sign() < 0:
			errs = append(errs, field.Invalid(at, quantity.String(), "must not be negative: use 0 or more"))
		case isExtended(name) && quantity.MilliValue()%1000 != 0:
			errs = append(errs, field.Invalid(at, quantity.String(), "must be a whole number"))
		case !fillsPages(name, quantity):
			errs = append(errs, field.Invalid(at, quantity.String(), "must be a multiple of the page size"))
		}
	}
	return errs
}

func validateResourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	if errs := check(path, string(name), validation.IsQualifiedName); len(errs) > 0 {
		return errs
	}
	standard := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	switch {
	case !strings.Contains(string(name), "/"):
		if slices.Contains(standard, name) {
			return nil
		}
		if size, ok := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix); ok {
			return validateHugePageSize(size, path)
		}
		return field.ErrorList{field.Invalid(path, string(name),
			"must be cpu, memory, ephemeral-storage, hugepages-SIZE or a resource of a vendor, for example nvidia.com/gpu")}
	case !isNative(name) && !isExtended(name):
		return field.ErrorList{field.Invalid(path, string(name), "must not begin with requests., and must be short enough to follow that prefix")}
	}
	return nil
}

// isNative reports whether a resource belongs to Kubernetes and not to a vendor.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func isExtended(name corev1.ResourceName) bool {
	return !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// fillsPages reports whether a quantity of huge pages is a whole number of pages.
func fillsPages(name corev1.ResourceName, quantity resource.Quantity) bool {
	text, huge := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
	size, err := resource.ParseQuantity(text)
	if !huge || err != nil || size.Value() <= 0 {
		return true // validateResourceName reports the name
	}
	return quantity.MilliValue()%1000 == 0 && quantity.Value()%size.Value() == 0
}

// overcommits reports whether the limit of a resource may be more than its request.
func overcommits(name corev1.ResourceName) bool { return isNative(name) && !isHugePages(name) }
