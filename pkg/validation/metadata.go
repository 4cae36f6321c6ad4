package validation

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// servicesSuffix is the suffix of the name of the services pod.
const servicesSuffix = "-services"

// validateName checks the name, and the names of pods that contain it.
func validateName(mc *v1alpha2.MiniCluster) field.ErrorList {
	name, path := nameOf(mc)
	if name == "" {
		return field.ErrorList{field.Required(path, "set the name of the MiniCluster")}
	}
	if errs := check(path, name, validation.IsDNS1035Label); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	last := "-" + strconv.Itoa(int(max(mc.RequestedSize(), mc.MinimumSize(), mc.Spec.MaxSize))-1)
	if len(name+last) > validation.DNS1123LabelMaxLength {
		errs = append(errs, invalidf(path, name,
			"the host names of pods, NAME-INDEX, must have at most %d characters, and the last one ends with %s: shorten the name to %d characters",
			validation.DNS1123LabelMaxLength, last, validation.DNS1123LabelMaxLength-len(last)))
	}
	if len(mc.Spec.Services) > 0 && len(name+servicesSuffix) > validation.DNS1123LabelMaxLength {
		errs = append(errs, invalidf(path, name,
			"the name of the services pod, NAME%s, must have at most %d characters: shorten the name to %d characters",
			servicesSuffix, validation.DNS1123LabelMaxLength, validation.DNS1123LabelMaxLength-len(servicesSuffix)))
	}
	return errs
}

// nameOf returns the name, or one like the API server generates from generateName.
func nameOf(mc *v1alpha2.MiniCluster) (string, *field.Path) {
	path := field.NewPath("metadata")
	if mc.Name == "" && mc.GenerateName != "" {
		const random = "xxxxx"
		prefix := mc.GenerateName
		return prefix[:min(len(prefix), validation.DNS1123LabelMaxLength-len(random))] + random, path.Child("generateName")
	}
	return mc.Name, path.Child("name")
}
