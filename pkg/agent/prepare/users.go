package prepare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// firstUserUID is the first ID of regular users (login.defs(5)). All pods add the same users to the same image, and
// so assign the same IDs, by which Flux identifies users.
const firstUserUID = 1001

// addUsers adds the further users of the instance, with their groups and passwords.
func (i *Instance) addUsers(ctx context.Context, sys system) error {
	if len(i.plan.Users) == 0 {
		return nil
	}
	if sys.uid != 0 {
		klog.FromContext(ctx).Info("Not adding further users, because the container does not run as root", "users", len(i.plan.Users))
		return nil
	}
	passwords, err := sys.passwords()
	if err != nil {
		return err
	}
	known, err := sys.accounts()
	if err != nil {
		return err
	}
	// Named groups come before groups of users, which take a free ID, and users with an ID before those that take a
	// free one.
	for _, user := range i.plan.Users {
		for _, g := range user.Groups {
			if err := sys.ensureGroup(&known, g); err != nil {
				return fmt.Errorf("adding group %s of user %s: %w", g.Name, user.Name, err)
			}
		}
	}
	users := slices.Clone(i.plan.Users)
	slices.SortStableFunc(users, func(a, b plan.Account) int { return boolOrder(a.UID == 0, b.UID == 0) })
	for _, user := range users {
		if err := sys.ensureUser(&known, user, passwordHash(passwords[user.Name])); err != nil {
			return fmt.Errorf("adding user %s: %w", user.Name, err)
		}
	}
	return sys.addMembers(i.plan.Users)
}

// boolOrder sorts false before true.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// ensureGroup adds a group that the image does not have.
func (s system) ensureGroup(known *accounts, g plan.Group) error {
	if !accountName.MatchString(g.Name) {
		return fmt.Errorf("%q is not a valid name of a group", g.Name)
	}
	existing, ok := known.group(g.Name)
	switch {
	case ok && g.GID != 0 && int64(existing.gid) != g.GID:
		return fmt.Errorf("the image has it with the ID %d, not %d", existing.gid, g.GID)
	case ok:
		return nil
	case g.GID == 0:
		return errors.New("the image does not have it, and the MiniCluster does not set its gid")
	}
	return s.addGroup(known, group{name: g.Name, gid: int(g.GID)})
}

func (s system) addGroup(known *accounts, g group) error {
	if err := s.appendLine(groupFile, fmt.Sprintf("%s:x:%d:", g.name, g.gid)); err != nil {
		return err
	}
	known.groups = append(known.groups, g)
	return nil
}

// ensureUser adds a user that the image does not have, and sets the password of one that it has.
func (s system) ensureUser(known *accounts, user plan.Account, hash string) error {
	existing, ok := known.user(user.Name)
	if !ok {
		if owner, taken := known.uid(int(user.UID)); user.UID != 0 && taken {
			return fmt.Errorf("the user ID %d belongs to %s in the image", user.UID, owner.name)
		}
		_, err := s.addUser(known, newUser{name: user.Name, uid: cmp.Or(int(user.UID), firstUserUID), gid: int(user.GID), hash: hash})
		return err
	}
	if user.UID != 0 && int64(existing.uid) != user.UID {
		return fmt.Errorf("the image has the user with the ID %d, not %d", existing.uid, user.UID)
	}
	if user.GID != 0 && int64(existing.gid) != user.GID {
		return fmt.Errorf("the image has the user with the primary group %d, not %d", existing.gid, user.GID)
	}
	if hash == "" || user.Name == "root" {
		return nil
	}
	return s.setPassword(user.Name, hash)
}

// addMembers makes the users members of their supplementary groups.
func (s system) addMembers(users []plan.Account) error {
	members := map[string][]string{}
	for _, user := range users {
		for _, g := range user.Groups {
			members[g.Name] = append(members[g.Name], user.Name)
		}
	}
	if len(members) == 0 {
		return nil
	}
	text, err := s.read(groupFile)
	if err != nil {
		return fmt.Errorf("reading the groups: %w", err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if f := strings.Split(line, ":"); len(f) == 4 {
			for _, name := range members[f[0]] {
				if !slices.Contains(strings.Split(f[3], ","), name) {
					f[3] = strings.TrimPrefix(f[3]+","+name, ",")
				}
			}
			line = strings.Join(f, ":")
		}
		out.WriteString(line + "\n")
	}
	return s.rewrite(groupFile, out.String())
}
