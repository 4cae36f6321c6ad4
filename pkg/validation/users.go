package validation

import (
	"regexp"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// maxPasswordLength is that of flux-operator.
const maxPasswordLength = 8

// userName is what useradd(8) makes users of: a wrong one would break the
// container's list of users.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

func validateUserName(name string, path *field.Path) field.ErrorList {
	if !userName.MatchString(name) {
		return field.ErrorList{field.Invalid(path, name,
			"must be the name of a Unix user: up to 32 letters, digits, '_', '.' and '-', starting with a letter or '_'")}
	}
	return nil
}

func validateUsers(users []v1alpha2.MiniClusterUser, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, user := range users {
		at := path.Index(i)
		errs = append(errs, validateUserName(user.Name, at.Child("name"))...)
		if seen.Has(user.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), user.Name))
		}
		seen.Insert(user.Name)
		if len(user.Password) > maxPasswordLength {
			errs = append(errs, secretf(at.Child("password"), "must have at most %d characters: shorten it, or leave it out", maxPasswordLength))
		}
	}
	return errs
}

func validateFluxUser(user *v1alpha2.FluxUser, path *field.Path) field.ErrorList {
	if user == nil {
		return nil
	}
	errs := notNegativePointer(user.UID, path.Child("uid"))
	if user.Name != "" {
		errs = append(errs, validateUserName(user.Name, path.Child("name"))...)
	}
	return errs
}
