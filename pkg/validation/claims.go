package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// validateResourceClaims checks spec.pod.resourceClaims.
func validateResourceClaims(claims []corev1.PodResourceClaim, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range claims {
		claim, at := &claims[i], path.Index(i)
		switch {
		case claim.Name == "":
			errs = append(errs, field.Required(at.Child("name"), "name the claim, so that containers can refer to it"))
		case seen.Has(claim.Name):
			errs = append(errs, field.Duplicate(at.Child("name"), claim.Name))
		default:
			errs = append(errs, check(at.Child("name"), claim.Name, validation.IsDNS1123Label)...)
		}
		seen.Insert(claim.Name)
		errs = append(errs, validateClaimSource(claim, at)...)
	}
	return errs
}

func validateClaimSource(claim *corev1.PodResourceClaim, path *field.Path) field.ErrorList {
	named, templated := claim.ResourceClaimName, claim.ResourceClaimTemplateName
	switch {
	case named != nil && templated != nil:
		return field.ErrorList{invalidf(path, claim.Name, "resourceClaimName and resourceClaimTemplateName exclude each other: remove one of them")}
	case named != nil:
		return check(path.Child("resourceClaimName"), *named, validation.IsDNS1123Subdomain)
	case templated != nil:
		return check(path.Child("resourceClaimTemplateName"), *templated, validation.IsDNS1123Subdomain)
	default:
		return field.ErrorList{field.Required(path, "set resourceClaimName or resourceClaimTemplateName")}
	}
}

// validateContainerClaims checks that the claims of a container are claims of its
// pod.
func validateContainerClaims(c *v1alpha2.MiniClusterContainer, pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	if c.Resources == nil {
		return nil
	}
	known := sets.New[string]()
	if pod != nil {
		for i := range pod.ResourceClaims {
			known.Insert(pod.ResourceClaims[i].Name)
		}
	}
	var errs field.ErrorList
	seen := sets.New[corev1.ResourceClaim]()
	for i, claim := range c.Resources.Claims {
		at := path.Child("resources", "claims").Index(i)
		switch {
		case !known.Has(claim.Name):
			errs = append(errs, invalidf(at.Child("name"), claim.Name, "is not a claim of spec.pod.resourceClaims: add it there, or remove it"))
		case seen.Has(claim), seen.Has(corev1.ResourceClaim{Name: claim.Name}):
			errs = append(errs, field.Duplicate(at, claim.Name))
		}
		seen.Insert(claim)
	}
	return errs
}
