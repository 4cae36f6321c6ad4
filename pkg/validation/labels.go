package validation

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// reservedPrefix is that of keys of the controller.
const reservedPrefix = v1alpha2.GroupName + "/"

// reservedLabels returns the labels that Kubernetes sets on the pods of a Job and
// selects them by. The schema of the CRD lists the same ones.
func reservedLabels() []string {
	return []string{
		"controller-uid", "job-name",
		batchv1.ControllerUidLabel, batchv1.JobNameLabel, batchv1.JobCompletionIndexAnnotation,
	}
}

// validateUserLabels checks the labels that a user adds to pods or to the Job.
func validateUserLabels(labels map[string]string, path *field.Path) field.ErrorList {
	errs := validateLabels(labels, path)
	for _, key := range sortedKeys(labels) {
		if slices.Contains(reservedLabels(), key) {
			errs = append(errs, field.Forbidden(path.Key(key), "is set by Kubernetes: remove it"))
		}
	}
	return append(errs, validateReservedPrefix(labels, path)...)
}

func validateReservedPrefix(values map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range sortedKeys(values) {
		if strings.HasPrefix(key, reservedPrefix) {
			errs = append(errs, field.Forbidden(path.Key(key), "keys with the prefix "+reservedPrefix+" are reserved for the controller: remove it"))
		}
	}
	return errs
}

func validateLabels(labels map[string]string, path *field.Path) field.ErrorList {
	return sorted(metav1validation.ValidateLabels(labels, path))
}

func validateAnnotations(annotations map[string]string, path *field.Path) field.ErrorList {
	return sorted(apivalidation.ValidateAnnotations(annotations, path))
}

// validateJobAnnotations checks spec.jobAnnotations.
func validateJobAnnotations(annotations map[string]string, path *field.Path) field.ErrorList {
	return append(validateAnnotations(annotations, path), validateReservedPrefix(annotations, path)...)
}
