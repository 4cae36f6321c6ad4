package validation

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// servicesSuffix ends the name of the services pod.
const servicesSuffix = "-services"

// validateName sees to it that the names that are made from the MiniCluster's
// name are names, too.
func validateName(mc *v1alpha2.MiniCluster) field.ErrorList {
	name, path := nameOf(mc)
	if name == "" {
		return field.ErrorList{field.Required(path, "give the MiniCluster a name")}
	}
	if errs := check(path, name, validation.IsDNS1035Label); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	last := "-" + strconv.Itoa(int(max(1, mc.RequestedSize(), mc.Spec.MaxSize))-1)
	if len(name+last) > validation.DNS1123LabelMaxLength {
		errs = append(errs, invalidf(path, name,
			"host names of pods, NAME-INDEX, must have at most %d characters, and the last one ends with %s: shorten the name to %d characters",
			validation.DNS1123LabelMaxLength, last, validation.DNS1123LabelMaxLength-len(last)))
	}
	if len(mc.Spec.Services) > 0 && len(name+servicesSuffix) > validation.DNS1123LabelMaxLength {
		errs = append(errs, invalidf(path, name,
			"the services pod is named NAME%s, which must have at most %d characters: shorten the name to %d characters",
			servicesSuffix, validation.DNS1123LabelMaxLength, validation.DNS1123LabelMaxLength-len(servicesSuffix)))
	}
	return errs
}

// nameOf is the name, or one like that which the API server is going to make
// from generateName.
func nameOf(mc *v1alpha2.MiniCluster) (string, *field.Path) {
	path := field.NewPath("metadata")
	if mc.Name == "" && mc.GenerateName != "" {
		const random = "xxxxx"
		prefix := mc.GenerateName
		return prefix[:min(len(prefix), validation.DNS1123LabelMaxLength-len(random))] + random, path.Child("generateName")
	}
	return mc.Name, path.Child("name")
}

// validateReserve reads what the MiniCluster leaves free for others. It is the metrics API
// server that makes use of it.
func validateReserve(mc *v1alpha2.MiniCluster) field.ErrorList {
	text, ok := mc.Annotations[v1alpha2.AnnotationCapacityReserve]
	if !ok {
		return nil
	}
	if _, err := reserve.Parse(text); err != nil {
		path := field.NewPath("metadata", "annotations").Key(v1alpha2.AnnotationCapacityReserve)
		return field.ErrorList{field.Invalid(path, text, err.Error())}
	}
	return nil
}
