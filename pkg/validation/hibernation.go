package validation

import (
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// validateHibernation checks how a MiniCluster hibernates. That may change at any time.
func validateHibernation(h *v1alpha2.Hibernation, path *field.Path) field.ErrorList {
	if h == nil {
		return nil
	}
	errs := notNegativePointer(h.GracePeriodSeconds, path.Child("gracePeriodSeconds"))
	errs = append(errs, notNegative(h.IdleTimeoutSeconds, path.Child("idleTimeoutSeconds"))...)
	if h.State != "" {
		errs = append(errs, oneOf(&h.State, path.Child("state"), v1alpha2.HibernationKeep, v1alpha2.HibernationDiscard)...)
	}
	if h.RestartForChanges != "" {
		errs = append(errs, oneOf(&h.RestartForChanges, path.Child("restartForChanges"), v1alpha2.RestartNever, v1alpha2.RestartWhenIdle)...)
	}
	return errs
}

// validateKeptState checks that a new MiniCluster has something to keep its state in. A MiniCluster that has nothing
// later is stopped nevertheless, and its status says that nothing is kept.
func validateKeptState(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	h := spec.Hibernation
	if h == nil || h.State != v1alpha2.HibernationKeep || spec.Archive != nil && spec.Archive.Path != "" || spec.Flux != nil && spec.Flux.State != nil {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("state"), h.State,
		"needs something to keep the state in: set spec.archive.path or spec.flux.state, or set spec.hibernation.state to Discard")}
}

func validateRestoreFrom(mc *v1alpha2.MiniCluster, path *field.Path) field.ErrorList {
	from := mc.Spec.RestoreFrom
	if from == nil {
		return nil
	}
	var errs field.ErrorList
	for _, problem := range validation.NameIsDNSSubdomain(from.Name, false) {
		errs = append(errs, field.Invalid(path.Child("name"), from.Name, problem))
	}
	if from.Name == mc.Name {
		errs = append(errs, field.Invalid(path.Child("name"), from.Name, "must be another MiniCluster: this one starts from its own archive anyway"))
	}
	return errs
}
