// Package validation validates MiniClusters. The controller, the command line
// and the tests use it. Every error names a field and how to correct it.
//
// The schema of the CRD checks types, ranges and some rules before. This package
// checks them again where they matter, for API servers that are too old for the
// rules of the schema and for documents that no API server has stored.
//
// The package is pure: it reads nothing but the MiniCluster. What a controller
// permits by its flags (directories of nodes, namespaces of Secrets) is not
// checked here.
package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// ValidateMiniCluster returns the errors of a new MiniCluster, with defaults set.
// It accepts everything that works with flux-operator.
func ValidateMiniCluster(mc *v1alpha2.MiniCluster) field.ErrorList {
	path := field.NewPath("spec")
	spec := &mc.Spec
	errs := validateName(mc)
	errs = append(errs, validateSizes(mc, path)...)
	errs = append(errs, validateNumbers(spec, path)...)
	errs = append(errs, validateContainers(mc, path.Child("containers"))...)
	errs = append(errs, validateServices(spec, path.Child("services"))...)
	errs = append(errs, validateClusterVolumes(spec.Volumes, path.Child("volumes"))...)
	errs = append(errs, validateUserLabels(spec.JobLabels, path.Child("jobLabels"))...)
	errs = append(errs, validateJobAnnotations(spec.JobAnnotations, path.Child("jobAnnotations"))...)
	errs = append(errs, validatePod(spec, path.Child("pod"))...)
	if spec.Placement != "" {
		errs = append(errs, oneOf(&spec.Placement, path.Child("placement"), v1alpha2.PlacementSpread, v1alpha2.PlacementPack)...)
	}
	errs = append(errs, validateLead(spec, path.Child("lead"))...)
	errs = append(errs, validateNetwork(spec.Network, path.Child("network"))...)
	errs = append(errs, validateArchive(spec.Archive, path.Child("archive"))...)
	errs = append(errs, validateKeptState(spec, path.Child("hibernation"))...)
	errs = append(errs, validateRestoreFrom(mc, path.Child("restoreFrom"))...)
	errs = append(errs, validateUsers(mc, path.Child("users"))...)
	errs = append(errs, validateFlux(spec.Flux, path.Child("flux"))...)
	errs = append(errs, validateViewPlace(mc, path.Child("flux", "container"))...)
	// Last, because it generates the whole configuration: it does not repeat an
	// error of a field that has one already.
	return append(errs, validateBrokerConfig(mc, errs)...)
}

// ValidateMiniClusterUpdate returns the errors of the fields that may
// change after creation. The size is not one of them: the controller corrects
// a size that is out of bounds. The maximum is the one that was fixed at creation.
func ValidateMiniClusterUpdate(mc *v1alpha2.MiniCluster, maximum int32) field.ErrorList {
	path := field.NewPath("spec")
	errs := notNegative(mc.Spec.MinSize, path.Child("minSize"))
	if mc.Spec.MinSize > maximum {
		errs = append(errs, invalidf(path.Child("minSize"), mc.Spec.MinSize,
			"must not be more than %d, the maximum that was fixed when the MiniCluster was created: lower it", maximum))
	}
	return append(errs, validateScaling(&mc.Spec, path)...)
}
