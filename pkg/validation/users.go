package validation

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// maxPasswordLength is the limit of flux-operator.
const maxPasswordLength = 8

// userName matches the names that useradd(8) accepts. Any other name could break
// the files of users and groups in the container.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

func validateUserName(name string, path *field.Path) field.ErrorList {
	if !userName.MatchString(name) {
		return field.ErrorList{field.Invalid(path, name,
			"must be the name of a Unix user: up to 32 letters, digits, '_', '.' and '-', starting with a letter or '_'")}
	}
	return nil
}

// maxID is the largest user and group ID that Kubernetes and the agent accept.
const maxID = 1<<31 - 1

// validateUserID checks the ID of a user or a group. 0 belongs to root.
func validateUserID(id *int64, path *field.Path) field.ErrorList {
	if id != nil && (*id < 1 || *id > maxID) {
		return field.ErrorList{invalidf(path, *id, "must be from 1 to %d: additional users and groups cannot have the ID of root", maxID)}
	}
	return nil
}

// userSet collects users and groups, to find those that contradict each other.
type userSet struct {
	// owners are the users by ID, gids the IDs of groups by name, and groups the names
	// of groups by ID.
	owners map[int64]string
	gids   map[string]int64
	groups map[int64]string
	names  map[string]bool
	errs   field.ErrorList
}

// validateUsers checks the additional users. They are created in every pod in the
// same order, so that all pods agree on the IDs.
func validateUsers(mc *v1alpha2.MiniCluster, path *field.Path) field.ErrorList {
	set := userSet{owners: map[int64]string{}, gids: map[string]int64{}, groups: map[int64]string{}, names: map[string]bool{}}
	if owner, uid := fluxOwner(mc); owner != "" {
		set.owners[uid] = owner
	}
	for i := range mc.Spec.Users {
		set.user(&mc.Spec.Users[i], path.Index(i))
	}
	return set.errs
}

// fluxOwner returns the user who owns the Flux instance, if the spec decides it.
func fluxOwner(mc *v1alpha2.MiniCluster) (string, int64) {
	flux := mc.FluxContainerIndex()
	if flux < 0 || fluxconfig.LayoutOf(&mc.Spec) != fluxconfig.LayoutSystem {
		return "", 0
	}
	name, uid := v1alpha2.DefaultFluxUser, v1alpha2.DefaultFluxUID
	if u := mc.Spec.Containers[flux].FluxUser; u != nil {
		if u.Name != "" {
			name = u.Name
		}
		if u.UID != nil {
			uid = *u.UID
		}
	}
	return name, uid
}

func (s *userSet) add(errs ...*field.Error) { s.errs = append(s.errs, errs...) }

func (s *userSet) user(user *v1alpha2.MiniClusterUser, path *field.Path) {
	s.add(validateUserName(user.Name, path.Child("name"))...)
	if s.names[user.Name] {
		s.add(field.Duplicate(path.Child("name"), user.Name))
	}
	s.names[user.Name] = true
	if len(user.Password) > maxPasswordLength {
		s.add(secretf(path.Child("password"), "must have at most %d characters: shorten it or omit it", maxPasswordLength))
	}
	s.add(validateUserID(user.UID, path.Child("uid"))...)
	s.add(validateUserID(user.GID, path.Child("gid"))...)
	if id := user.UID; id != nil {
		if owner, ok := s.owners[*id]; ok && owner != user.Name {
			s.add(invalidf(path.Child("uid"), *id, "is the user ID of %s: choose another one", owner))
		} else {
			s.owners[*id] = user.Name
		}
	}
	seen := map[string]bool{}
	for i := range user.Groups {
		group, at := &user.Groups[i], path.Child("groups").Index(i)
		if seen[group.Name] {
			s.add(field.Duplicate(at.Child("name"), group.Name))
		}
		seen[group.Name] = true
		s.group(group, at)
	}
}

func (s *userSet) group(group *v1alpha2.UserGroup, path *field.Path) {
	s.add(validateUserName(group.Name, path.Child("name"))...)
	s.add(validateUserID(group.GID, path.Child("gid"))...)
	if group.GID == nil {
		return
	}
	id := *group.GID
	if other, ok := s.gids[group.Name]; ok && other != id {
		s.add(invalidf(path.Child("gid"), id, "is %d in another entry of this group: use one ID", other))
		return
	}
	if other, ok := s.groups[id]; ok && other != group.Name {
		s.add(field.Invalid(path.Child("gid"), id, fmt.Sprintf("is the ID of the group %s: use one name", other)))
		return
	}
	s.gids[group.Name], s.groups[id] = id, group.Name
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
