package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// validatePlacement checks the fields of a pod that decide which nodes it runs on.
func validatePlacement(pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name := pod.SchedulerName; name != "" {
		// Schedulers report events under their name, which has to be a qualified one.
		errs = append(errs, check(path.Child("schedulerName"), name, validation.IsQualifiedName)...)
	}
	errs = append(errs, validateLabels(pod.NodeSelector, path.Child("nodeSelector"))...)
	errs = append(errs, validateNodeAffinity(pod.NodeAffinity, path.Child("nodeAffinity"))...)
	errs = append(errs, validateTolerations(pod.Tolerations, path.Child("tolerations"))...)
	return append(errs, validateSpread(pod.TopologySpreadConstraints, path.Child("topologySpreadConstraints"))...)
}

func validateNodeAffinity(affinity map[string][]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, label := range sortedKeys(affinity) {
		at := path.Key(label)
		errs = append(errs, metav1validation.ValidateLabelName(label, at)...)
		if len(affinity[label]) == 0 {
			errs = append(errs, field.Required(at, "list the values that the label may have, or remove it"))
		}
		for i, value := range affinity[label] {
			errs = append(errs, check(at.Index(i), value, validation.IsValidLabelValue)...)
		}
	}
	return errs
}

func validateTolerations(tolerations []corev1.Toleration, path *field.Path) field.ErrorList {
	effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	var errs field.ErrorList
	for i, t := range tolerations {
		at := path.Index(i)
		switch {
		case t.Key != "":
			errs = append(errs, metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
		case t.Operator != corev1.TolerationOpExists:
			errs = append(errs, field.Invalid(at.Child("operator"), t.Operator, "must be Exists where key is empty: set key, or operator to Exists"))
		}
		errs = append(errs, validateTolerationValue(&t, at)...)
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(at.Child("tolerationSeconds"), *t.TolerationSeconds, "needs the effect NoExecute: set effect, or remove it"))
		}
		if t.Effect != "" && !slices.Contains(effects, t.Effect) {
			errs = append(errs, field.NotSupported(at.Child("effect"), t.Effect, effects))
		}
	}
	return errs
}

func validateTolerationValue(t *corev1.Toleration, path *field.Path) field.ErrorList {
	switch t.Operator {
	case corev1.TolerationOpExists:
		if t.Value != "" {
			return field.ErrorList{field.Invalid(path.Child("value"), t.Value, "must be empty with operator Exists: remove it")}
		}
		return nil
	case corev1.TolerationOpEqual, "":
		return check(path.Child("value"), t.Value, validation.IsValidLabelValue)
	default:
		// Most API servers reject Lt and Gt.
		return field.ErrorList{field.NotSupported(path.Child("operator"), t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists})}
	}
}

// validateSpread checks topology spread constraints as Kubernetes does.
func validateSpread(constraints []corev1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	type kind struct {
		key  string
		when corev1.UnsatisfiableConstraintAction
	}
	var errs field.ErrorList
	seen := sets.New[kind]()
	for i := range constraints {
		c, at := &constraints[i], path.Index(i)
		errs = append(errs, validateSpreadConstraint(c, at)...)
		if k := (kind{c.TopologyKey, c.WhenUnsatisfiable}); seen.Has(k) {
			errs = append(errs, field.Duplicate(at, c.TopologyKey+", "+string(c.WhenUnsatisfiable)))
		} else {
			seen.Insert(k)
		}
	}
	return errs
}

func validateSpreadConstraint(c *corev1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.MaxSkew < 1 {
		errs = append(errs, field.Invalid(path.Child("maxSkew"), c.MaxSkew, "must be at least 1"))
	}
	if c.TopologyKey == "" {
		errs = append(errs, field.Required(path.Child("topologyKey"), "name the node label, for example topology.kubernetes.io/zone"))
	} else {
		errs = append(errs, metav1validation.ValidateLabelName(c.TopologyKey, path.Child("topologyKey"))...)
	}
	errs = append(errs, oneOf(&c.WhenUnsatisfiable, path.Child("whenUnsatisfiable"), corev1.DoNotSchedule, corev1.ScheduleAnyway)...)
	if d := c.MinDomains; d != nil && *d < 1 {
		errs = append(errs, field.Invalid(path.Child("minDomains"), *d, "must be at least 1"))
	} else if d != nil && c.WhenUnsatisfiable != corev1.DoNotSchedule {
		errs = append(errs, field.Invalid(path.Child("minDomains"), *d, "needs whenUnsatisfiable DoNotSchedule: change whenUnsatisfiable, or remove it"))
	}
	policies := []corev1.NodeInclusionPolicy{corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore}
	errs = append(errs, oneOf(c.NodeAffinityPolicy, path.Child("nodeAffinityPolicy"), policies...)...)
	errs = append(errs, oneOf(c.NodeTaintsPolicy, path.Child("nodeTaintsPolicy"), policies...)...)
	errs = append(errs, metav1validation.ValidateLabelSelector(c.LabelSelector, metav1validation.LabelSelectorValidationOptions{}, path.Child("labelSelector"))...)
	for i, key := range c.MatchLabelKeys {
		errs = append(errs, metav1validation.ValidateLabelName(key, path.Child("matchLabelKeys").Index(i))...)
	}
	return errs
}
