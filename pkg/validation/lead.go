package validation

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// validateLead checks how the pod of the lead broker differs from the others. The node affinity of the pods applies
// to it as well.
func validateLead(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	lead := spec.Lead
	if lead == nil {
		return nil
	}
	errs := validateLabels(lead.NodeSelector, path.Child("nodeSelector"))
	errs = append(errs, validateTolerations(lead.Tolerations, path.Child("tolerations"))...)
	if spec.Pod == nil {
		return errs
	}
	for _, label := range sortedKeys(lead.NodeSelector) {
		value := lead.NodeSelector[label]
		if values := spec.Pod.NodeAffinity[label]; len(values) > 0 && !slices.Contains(values, value) {
			errs = append(errs, invalidf(path.Child("nodeSelector").Key(label), value,
				"is none of the values in spec.pod.nodeAffinity, which applies to the lead, too: use spec.pod.nodeSelector, or add the value there"))
		}
	}
	return errs
}
