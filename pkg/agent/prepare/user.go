package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// fallbackUser is the name of a user that the image does not have, and fallbackHome the home directory. flux-operator
// uses the same and mounts a volume there.
const (
	fallbackUser = "flux-operator"
	fallbackHome = "/home/flux-operator"
)

// accountName matches names that useradd(8) accepts. Names are written into files with one line for each user.
var accountName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

// owner returns the owner of the broker's files.
func (i *Instance) owner() owner {
	return owner{uid: int(i.UID), gid: int(i.GID)}
}

// identify decides as which user the broker runs, and adds the user if the image lacks it.
func (i *Instance) identify(ctx context.Context, sys system, environ []string) error {
	known, err := sys.accounts()
	if err != nil {
		return err
	}
	want := i.plan.User
	if lacks := sys.lacksCapabilities(); want.Name == "" || sys.uid != 0 || len(lacks) > 0 {
		if want.Name != "" && sys.uid == 0 {
			klog.FromContext(ctx).Info("Running the broker as root, because the container lacks capabilities to switch to another user", "user", want.Name, "lacks", lacks)
		}
		return i.keepUser(ctx, sys, known, environ)
	}
	if !accountName.MatchString(want.Name) {
		return fmt.Errorf("%q is not a valid user name", want.Name)
	}
	user, ok := known.user(want.Name)
	if !ok {
		if user, err = sys.addUser(&known, newUser{name: want.Name, uid: int(want.UID)}); err != nil {
			return fmt.Errorf("adding user %s: %w", want.Name, err)
		}
		klog.FromContext(ctx).V(1).Info("Added a user", "user", user.name, "uid", user.uid)
	}
	i.User, i.Home = user.name, homeOf(sys, user)
	i.become(known, user)
	return nil
}

// become makes a user the user of the broker.
func (i *Instance) become(known accounts, user account) {
	if user.uid == 0 {
		return // another name for root
	}
	i.UID, i.GID = id(user.uid), id(user.gid)
	i.Credential = &syscall.Credential{Uid: i.UID, Gid: i.GID, Groups: withGroups(known.supplementary(user), podGroups(known), i.GID)}
}

// podGroups returns the groups that the pod gives to all its processes (fsGroup, supplementalGroups): those of the
// agent, without those that the image gives to root.
func podGroups(known accounts) []uint32 {
	groups, err := syscall.Getgroups()
	if err != nil {
		return nil
	}
	return podGroupsOf(groups, known)
}

func podGroupsOf(groups []int, known accounts) []uint32 {
	root, _ := known.uid(0)
	if root.name == "" {
		root.name = "root"
	}
	image := known.supplementary(root)
	var out []uint32
	for _, group := range groups {
		if group != 0 && !slices.Contains(image, uint32(group)) {
			out = append(out, uint32(group))
		}
	}
	return out
}

// withGroups adds groups to those of a user.
func withGroups(groups, further []uint32, own uint32) []uint32 {
	for _, group := range further {
		if group != own && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups
}

// homeOf returns the home directory of the broker's user. A missing one is made where documents of flux-operator
// expect it.
func homeOf(sys system, user account) string {
	if usableHome(user.home) && sys.isDir(user.home) {
		return user.home
	}
	return path.Join("/home", user.name)
}

// id converts a user or group ID for the kernel. An ID out of range becomes nobody.
func id(n int) uint32 {
	if n < 0 || n > math.MaxInt32 {
		return 65534
	}
	return uint32(n)
}

// keepUser keeps the user of the agent. A user that the image does not have gets a name if possible, because many
// programs need one.
func (i *Instance) keepUser(ctx context.Context, sys system, known accounts, environ []string) error {
	i.UID, i.GID = id(sys.uid), id(sys.gid)
	user, ok := known.uid(sys.uid)
	if !ok {
		user = account{name: fallbackUser, uid: sys.uid, gid: sys.gid, home: fallbackHome}
		err := sys.appendLine(passwdFile, passwdLine(user, "/bin/sh"))
		if err != nil {
			klog.FromContext(ctx).V(1).Info("Failed to add a name for the user", "uid", sys.uid, "reason", err.Error())
			user.name = ""
		}
	}
	i.User = user.name
	i.Home = i.findHome(sys, user, environ)
	return nil
}

// findHome returns a writable home directory: that of the environment, of the image, of flux-operator, or a new one.
func (i *Instance) findHome(sys system, user account, environ []string) string {
	for _, home := range []string{lookupEnv(environ, "HOME"), user.home, fallbackHome} {
		if usableHome(home) && sys.writable(home) {
			return home
		}
	}
	return path.Join(i.plan.Files.RunDir, "home")
}

// usableHome reports whether a path can be a home directory.
func usableHome(home string) bool {
	return path.IsAbs(home) && path.Clean(home) != "/" && home != "/nonexistent"
}

// newUser is a user to add.
type newUser struct {
	name string
	// uid is the preferred ID; another one is used if a user has it.
	uid int
	// gid is the ID of the primary group; 0: a group of the user's own.
	gid int
	// hash is the hash of the password, crypt(5); empty: no login with a password.
	hash string
}

// addUser adds a user with a group and a home directory, like useradd(8), which the image may not have.
func (s system) addUser(known *accounts, u newUser) (account, error) {
	if !accountName.MatchString(u.name) {
		return account{}, fmt.Errorf("%q is not a valid user name", u.name)
	}
	uid := known.freeUID(max(1, u.uid))
	gid, err := s.primaryGroup(known, u, uid)
	if err != nil {
		return account{}, err
	}
	user := account{name: u.name, uid: uid, gid: gid, home: path.Join("/home", u.name)}
	if err := s.appendLine(passwdFile, passwdLine(user, s.loginShell())); err != nil {
		return account{}, err
	}
	known.users = append(known.users, user)
	if err := s.setPassword(u.name, u.hash); err != nil {
		return account{}, err
	}
	if s.isDir(user.home) {
		return user, nil // from the image or a volume: keep its content
	}
	return user, s.mkdir(user.home, owner{user.uid, user.gid}, 0o755)
}

// primaryGroup returns the ID of the primary group of a user, and adds the group if no group has that ID.
func (s system) primaryGroup(known *accounts, u newUser, uid int) (int, error) {
	own, named := known.group(u.name)
	if u.gid == 0 {
		if named {
			return own.gid, nil
		}
		own = group{name: u.name, gid: known.freeGID(uid)}
		return own.gid, s.addGroup(known, own)
	}
	if slices.ContainsFunc(known.groups, func(g group) bool { return g.gid == u.gid }) {
		return u.gid, nil
	}
	name := u.name
	if named {
		name = "group" + strconv.Itoa(u.gid)
	}
	return u.gid, s.addGroup(known, group{name: name, gid: u.gid})
}

// passwdLine returns the entry of a user in passwd(5).
func passwdLine(u account, shell string) string {
	return fmt.Sprintf("%s:x:%d:%d::%s:%s", u.name, u.uid, u.gid, u.home, shell)
}

// loginShell returns the best shell of the image.
func (s system) loginShell() string {
	if s.executable("/bin/bash") {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// setPassword writes the hash of a password to shadow(5), in place of the old one. An image without that file has no
// passwords.
func (s system) setPassword(name, hash string) error {
	text, err := s.read(shadowFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if hash == "" {
		hash = "*"
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name+":") {
			out.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	// The day of the change is fixed: passwords must not expire.
	out.WriteString(name + ":" + hash + ":19000:0:99999:7:::\n")
	return s.rewrite(shadowFile, out.String())
}

// environmentOf returns the variables that identify the user of a program.
func environmentOf(name, home string) map[string]string {
	if name == "" {
		name = fallbackUser
	}
	return map[string]string{"HOME": home, "USER": name, "LOGNAME": name}
}

// passwords returns the passwords of the plan's users.
func (s system) passwords() (map[string]string, error) {
	text, err := s.read(source(plan.CertificateDir, plan.FilePasswords))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the passwords of users: %w", err)
	}
	return parsePasswords(text)
}
