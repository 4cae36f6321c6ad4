package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"strings"
	"syscall"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// fallbackUser is the name of a user that the image does not know, and
// fallbackHome its home: those of flux-operator, which mounts a volume there.
const (
	fallbackUser = "flux-operator"
	fallbackHome = "/home/flux-operator"
)

// accountName is what useradd(8) accepts. Names go into files with a line a user.
var accountName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// owner is the user that files of the broker belong to.
func (i *Instance) owner() owner {
	return owner{uid: int(i.UID), gid: int(i.GID)}
}

// identify decides which user the broker runs as, and makes it if the image lacks
// it.
func (i *Instance) identify(ctx context.Context, sys system, environ []string) error {
	known, err := sys.accounts()
	if err != nil {
		return err
	}
	want := i.plan.User
	if want.Name == "" || !sys.mayBecomeAnother() {
		if want.Name != "" && sys.uid == 0 {
			klog.FromContext(ctx).Info("Keeping root: the container may not become another user", "user", want.Name)
		}
		return i.stay(ctx, sys, known, environ)
	}
	if !accountName.MatchString(want.Name) {
		return fmt.Errorf("%q is no name for a user", want.Name)
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

// become makes a user the broker's.
func (i *Instance) become(known accounts, user account) {
	if user.uid == 0 {
		return // named, but root all the same
	}
	i.UID, i.GID = id(user.uid), id(user.gid)
	i.Credential = &syscall.Credential{Uid: i.UID, Gid: i.GID, Groups: known.supplementary(user)}
}

// homeOf is the home of a user that the agent becomes. One that does not exist is
// made where documents of flux-operator look for it.
func homeOf(sys system, user account) string {
	if usableHome(user.home) && sys.isDir(user.home) {
		return user.home
	}
	return path.Join("/home", user.name)
}

// id is a user's or a group's number for the kernel. What does not fit is nobody.
func id(n int) uint32 {
	if n < 0 || n > math.MaxInt32 {
		return 65534
	}
	return uint32(n)
}

// stay keeps the agent's own user. One that the image does not know gets a name
// where that can be: many programs ask for it.
func (i *Instance) stay(ctx context.Context, sys system, known accounts, environ []string) error {
	i.UID, i.GID = id(sys.uid), id(sys.gid)
	user, ok := known.uid(sys.uid)
	if !ok {
		user = account{name: fallbackUser, uid: sys.uid, gid: sys.gid, home: fallbackHome}
		err := sys.appendLine(passwdFile, passwdLine(user, "/bin/sh"))
		if err != nil {
			klog.FromContext(ctx).V(1).Info("The user has no name", "uid", sys.uid, "reason", err.Error())
			user.name = ""
		}
	}
	i.User = user.name
	i.Home = i.findHome(sys, user, environ)
	return nil
}

// findHome is a home directory that can be written to: the one that the
// environment or the image names, flux-operator's, or one of our own.
func (i *Instance) findHome(sys system, user account, environ []string) string {
	for _, home := range []string{lookupEnv(environ, "HOME"), user.home, fallbackHome} {
		if usableHome(home) && sys.writable(home) {
			return home
		}
	}
	return path.Join(i.plan.Files.RunDir, "home")
}

// usableHome tells whether a directory can be a home at all.
func usableHome(home string) bool {
	return path.IsAbs(home) && path.Clean(home) != "/" && home != "/nonexistent"
}

// newUser is a user to be added.
type newUser struct {
	name string
	// uid is wanted, but given up where another user has it.
	uid int
	// hash of the password, crypt(5); empty: none can log in with one.
	hash string
}

// addUser adds a user with a group of its own and a home, as useradd(8) does. The
// image may have no such program.
func (s system) addUser(known *accounts, u newUser) (account, error) {
	if !accountName.MatchString(u.name) {
		return account{}, fmt.Errorf("%q is no name for a user", u.name)
	}
	uid := known.freeUID(max(1, u.uid))
	own, ok := known.group(u.name)
	if !ok {
		own = group{name: u.name, gid: known.freeGID(uid)}
		if err := s.appendLine(groupFile, fmt.Sprintf("%s:x:%d:", own.name, own.gid)); err != nil {
			return account{}, err
		}
		known.groups = append(known.groups, own)
	}
	user := account{name: u.name, uid: uid, gid: own.gid, home: path.Join("/home", u.name)}
	if err := s.appendLine(passwdFile, passwdLine(user, s.loginShell())); err != nil {
		return account{}, err
	}
	known.users = append(known.users, user)
	if err := s.setPassword(u.name, u.hash); err != nil {
		return account{}, err
	}
	if s.isDir(user.home) {
		return user, nil // from the image or a volume: with what is in it
	}
	return user, s.mkdir(user.home, owner{user.uid, user.gid}, 0o755)
}

// passwdLine is a user's line of passwd(5).
func passwdLine(u account, shell string) string {
	return fmt.Sprintf("%s:x:%d:%d::%s:%s", u.name, u.uid, u.gid, u.home, shell)
}

// loginShell is the best shell of the image.
func (s system) loginShell() string {
	if s.executable("/bin/bash") {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// setPassword puts the hash of a password into shadow(5), in place of the one that
// was there. An image without that file has no passwords.
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
	// The day of the change is a fixed one: an expiry of passwords is not wanted.
	out.WriteString(name + ":" + hash + ":19000:0:99999:7:::\n")
	return s.rewrite(shadowFile, out.String())
}

// addUsers adds the further users of the instance, with their passwords.
func (i *Instance) addUsers(ctx context.Context, sys system) error {
	if len(i.plan.Users) == 0 {
		return nil
	}
	if sys.uid != 0 {
		klog.FromContext(ctx).Info("Further users are not added: the container does not run as root", "users", len(i.plan.Users))
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
	for _, name := range i.plan.Users {
		hash := passwordHash(passwords[name])
		var err error
		if _, ok := known.user(name); ok {
			if hash != "" && name != "root" {
				err = sys.setPassword(name, hash)
			}
		} else {
			_, err = sys.addUser(&known, newUser{name: name, uid: firstUserUID, hash: hash})
		}
		if err != nil {
			return fmt.Errorf("adding user %s: %w", name, err)
		}
	}
	return nil
}

// firstUserUID is where the numbers of users begin (login.defs(5)). All pods count
// the same users from the same image, and so come to the same numbers, by which
// Flux knows them.
const firstUserUID = 1001

// environmentOf is what tells programs who runs them.
func environmentOf(name, home string) map[string]string {
	if name == "" {
		name = fallbackUser
	}
	return map[string]string{"HOME": home, "USER": name, "LOGNAME": name}
}

// passwords are those of the plan's users.
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
