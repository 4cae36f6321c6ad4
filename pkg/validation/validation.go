// Package validation tells what is wrong with a MiniCluster. It is the only
// validator: the controller, the command line and the tests all ask it. Every
// error names a field and what to do about it.
//
// The API server has checked types, ranges and some rules before (see the CRD).
// What concerns sizes and names is checked here again, for servers too old for
// the CRD's rules and for documents that no server has seen yet.
package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// ValidateMiniCluster returns everything that is wrong with a new MiniCluster.
// It accepts all that works in flux-operator.
func ValidateMiniCluster(mc *v1alpha2.MiniCluster) field.ErrorList {
	path := field.NewPath("spec")
	spec := &mc.Spec
	errs := validateName(mc)
	errs = append(errs, validateReserve(mc)...)
	errs = append(errs, validateSizes(mc, path)...)
	errs = append(errs, validateNumbers(spec, path)...)
	errs = append(errs, validateContainers(mc, path.Child("containers"))...)
	errs = append(errs, validateServices(spec, path.Child("services"))...)
	errs = append(errs, validateClusterVolumes(spec.Volumes, path.Child("volumes"))...)
	errs = append(errs, validateLabels(spec.JobLabels, path.Child("jobLabels"))...)
	errs = append(errs, validatePod(spec, path.Child("pod"))...)
	errs = append(errs, validateNetwork(spec.Network, path.Child("network"))...)
	errs = append(errs, validateArchive(spec.Archive, path.Child("archive"))...)
	errs = append(errs, validateUsers(spec.Users, path.Child("users"))...)
	errs = append(errs, validateFlux(spec.Flux, path.Child("flux"))...)
	errs = append(errs, validateViewPlace(mc, path.Child("flux", "container"))...)
	// Last, since it asks for the whole configuration: an error of a field that
	// is reported already is not repeated.
	return append(errs, validateBrokerConfig(mc, errs)...)
}

// ValidateMiniClusterUpdate returns what is wrong with the fields and annotations
// that may change after creation. The size is not among them: the controller corrects one
// that is out of bounds. The maximum is the one that was fixed at creation.
func ValidateMiniClusterUpdate(mc *v1alpha2.MiniCluster, maximum int32) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateReserve(mc)
	errs = append(errs, notNegative(mc.Spec.MinSize, path.Child("minSize"))...)
	if mc.Spec.MinSize > maximum {
		errs = append(errs, invalidf(path.Child("minSize"), mc.Spec.MinSize,
			"must not be more than %d, the maximum that was fixed when the MiniCluster was created: lower it", maximum))
	}
	return append(errs, validateScaleDown(mc.Spec.ScaleDown, path.Child("scaleDown"))...)
}
