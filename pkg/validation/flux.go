package validation

import (
	"cmp"
	"errors"
	"path"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// maxLogLevel is LOG_DEBUG. A negative level prints nothing.
const maxLogLevel = 7

func validateFlux(flux *v1alpha2.FluxSpec, at *field.Path) field.ErrorList {
	if flux == nil {
		return nil
	}
	var errs field.ErrorList
	if flux.InstallRoot != "" && !path.IsAbs(flux.InstallRoot) {
		errs = append(errs, field.Invalid(at.Child("installRoot"), flux.InstallRoot, "must be an absolute path, for example /usr"))
	}
	if flux.LogLevel != nil && *flux.LogLevel > maxLogLevel {
		errs = append(errs, field.Invalid(at.Child("logLevel"), *flux.LogLevel, "must be at most 7 (debug)"))
	}
	errs = append(errs, validateCertificate(flux, at)...)
	errs = append(errs, reference(at.Child("mungeSecret"), flux.MungeSecret)...)
	errs = append(errs, validateEnvironment(flux.Environment, at.Child("environment"))...)
	errs = append(errs, validateView(flux.Container, at.Child("container"))...)
	return append(errs, validateState(flux.State, at.Child("state"))...)
}

// validateCertificate accepts both fields together, as flux-operator does: then the
// Secret takes precedence.
func validateCertificate(flux *v1alpha2.FluxSpec, at *field.Path) field.ErrorList {
	if flux.CurveCertSecret != "" {
		return reference(at.Child("curveCertSecret"), flux.CurveCertSecret)
	}
	if flux.CurveCert == "" {
		return nil
	}
	// The name only applies to a certificate without one, so any valid name works.
	if _, err := fluxconfig.ParseCertificate([]byte(flux.CurveCert), "default"); err != nil {
		return field.ErrorList{secretf(at.Child("curveCert"), "%v: use the complete output of flux keygen", err)}
	}
	return nil
}

func validateView(view *v1alpha2.FluxContainer, at *field.Path) field.ErrorList {
	if view == nil {
		return nil
	}
	errs := validateImage(view.Image, at.Child("image"))
	errs = append(errs, reference(at.Child("imagePullSecret"), view.ImagePullSecret)...)
	errs = append(errs, validateResources(view.Resources, at.Child("resources"))...)
	if view.Name != "" {
		errs = append(errs, check(at.Child("name"), view.Name, validation.IsDNS1123Label)...)
	}
	return errs
}

func validateState(state *v1alpha2.FluxState, at *field.Path) field.ErrorList {
	if state == nil {
		return nil
	}
	errs := requiredReference(at.Child("claimName"), state.ClaimName, "the PersistentVolumeClaim for the state")
	return append(errs, relativePath(state.SubPath, at.Child("subPath"))...)
}

// validateBrokerConfig generates the configuration of the brokers, which checks host
// lists, durations, topologies and policies. It omits fields with a known error.
func validateBrokerConfig(mc *v1alpha2.MiniCluster, known field.ErrorList) field.ErrorList {
	name, namePath := nameOf(mc)
	if name != mc.Name || mc.Namespace == "" {
		// A document that no API server has stored has no namespace or size.
		mc = mc.DeepCopy()
		mc.Name, mc.Namespace = name, cmp.Or(mc.Namespace, "default")
	}
	reported := sets.New[string]()
	for _, err := range known {
		reported.Insert(err.Field)
	}
	if reported.Has(namePath.String()) {
		return nil
	}
	var errs field.ErrorList
	for _, err := range brokerConfigErrors(mc) {
		at, text := "spec.flux", err.Error()
		if fieldError := (*fluxconfig.FieldError)(nil); errors.As(err, &fieldError) {
			at, text = fieldError.Field, fieldError.Err.Error()
		}
		if !reported.Has(at) {
			reported.Insert(at)
			errs = append(errs, secretf(field.NewPath(at), "%s", text))
		}
	}
	return errs
}

// brokerConfigErrors generates the parts before the whole, because generating the whole stops at its first error.
func brokerConfigErrors(mc *v1alpha2.MiniCluster) []error {
	var errs []error
	// The user's own brokerConfig contains the hosts.
	if mc.Spec.Flux == nil || mc.Spec.Flux.BrokerConfig == "" {
		if _, err := fluxconfig.Hosts(mc, fluxconfig.Params{}); err != nil {
			errs = append(errs, err)
		}
	}
	if _, err := fluxconfig.TBONSettings(&mc.Spec); err != nil {
		errs = append(errs, err)
	}
	if _, err := fluxconfig.BrokerTOML(mc, fluxconfig.Params{}); err != nil {
		errs = append(errs, err)
	}
	return errs
}
