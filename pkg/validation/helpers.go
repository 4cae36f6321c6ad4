package validation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func invalidf(path *field.Path, value any, format string, args ...any) *field.Error {
	return field.Invalid(path, value, fmt.Sprintf(format, args...))
}

// secretf is like invalidf, for a value that must not be printed.
func secretf(path *field.Path, format string, args ...any) *field.Error {
	return field.Invalid(path, field.OmitValueType{}, fmt.Sprintf(format, args...))
}

// sortedKeys returns the keys of a map in order, so that the order of errors is
// always the same.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// check returns the problems that a function of apimachinery finds in a value, as
// errors of a field.
func check(path *field.Path, value string, problems func(string) []string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range problems(value) {
		errs = append(errs, field.Invalid(path, value, problem))
	}
	return errs
}

// reference checks the name of a Kubernetes object, if it is set.
func reference(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return nil
	}
	return check(path, name, validation.IsDNS1123Subdomain)
}

func requiredReference(path *field.Path, name, what string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "name "+what)}
	}
	return reference(path, name)
}

func notNegative[T cmp.Ordered](value T, path *field.Path) field.ErrorList {
	var zero T
	if value < zero {
		return field.ErrorList{field.Invalid(path, value, "must not be negative: use 0 or more")}
	}
	return nil
}

func notNegativePointer[T cmp.Ordered](value *T, path *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	return notNegative(*value, path)
}

// validateHugePageSize checks the page size in the name of a resource.
func validateHugePageSize(size string, path *field.Path) field.ErrorList {
	if quantity, err := resource.ParseQuantity(size); err != nil || quantity.Sign() <= 0 {
		return field.ErrorList{field.Invalid(path, size, "must be hugepages- and a size, for example hugepages-2Mi")}
	}
	return nil
}

func validateQuantity(text string, path *field.Path) field.ErrorList {
	if text == "" {
		return nil
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return field.ErrorList{field.Invalid(path, text, "must be a quantity of bytes, for example 5Gi or 500M")}
	}
	if quantity.Sign() <= 0 {
		return field.ErrorList{field.Invalid(path, text, "must be more than 0")}
	}
	return nil
}

func validateImage(image string, path *field.Path) field.ErrorList {
	if strings.TrimSpace(image) != image {
		return field.ErrorList{field.Invalid(path, image, "must not begin or end with blanks: remove them")}
	}
	return nil
}

func validateEnvironmentName(name string, path *field.Path) field.ErrorList {
	return check(path, name, validation.IsRelaxedEnvVarName)
}

func validateEnvironment(environment map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedKeys(environment) {
		errs = append(errs, validateEnvironmentName(name, path.Key(name))...)
	}
	return errs
}

// sorted sorts errors that apimachinery found in the random order of a map: the
// status contains them, and must not change without a reason.
func sorted(errs field.ErrorList) field.ErrorList {
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// relativePath checks a path in a volume.
func relativePath(value string, path *field.Path) field.ErrorList {
	if strings.HasPrefix(value, "/") {
		return field.ErrorList{field.Invalid(path, value, "must be relative: remove the leading /")}
	}
	return noBacksteps(value, path)
}

func noBacksteps(value string, path *field.Path) field.ErrorList {
	if slices.Contains(strings.Split(value, "/"), "..") {
		return field.ErrorList{field.Invalid(path, value, "must not contain '..': write the path without it")}
	}
	return nil
}
