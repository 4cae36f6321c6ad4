package prepare

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// sudoersFile lets the broker's user become any other user without a password, as in flux-operator. sudo ignores file
// names with a dot.
const sudoersFile = "/etc/sudoers.d/minicluster"

// sudoersText is a sudoers(5) file. SETENV: tutorials pass their environment (sudo -E).
func sudoersText(user string) string {
	return "root ALL=(ALL:ALL) NOPASSWD:SETENV: ALL\n" + user + " ALL=(ALL:ALL) NOPASSWD:SETENV: ALL\n"
}

// sudoers writes the file if sudo is installed. Nothing else depends on it.
func (i *Instance) sudoers(ctx context.Context, sys system) {
	if sys.uid != 0 || !i.plan.System || i.Credential == nil || !sys.isDir(path.Dir(sudoersFile)) {
		return
	}
	if err := sys.write(sudoersFile, []byte(sudoersText(i.User)), owner{0, 0}, 0o440); err != nil {
		klog.FromContext(ctx).Info("Failed to configure sudo; it asks for passwords", "file", sudoersFile, "reason", err.Error())
	}
}

// imp configures flux-imp(8) to start jobs of other users. broker.toml names it if there are further users or a MUNGE
// key.
func (i *Instance) imp(ctx context.Context, sys system) error {
	if !i.plan.System || (len(i.plan.Users) == 0 && !sys.hasMungeKey()) {
		return nil
	}
	log := klog.FromContext(ctx)
	imp := path.Join(i.plan.InstallRoot, "libexec/flux/flux-imp")
	switch {
	case sys.uid != 0:
		log.Info("Jobs of other users can't run: the container does not run as root")
		return nil
	case !sys.executable(imp):
		log.Info("Jobs of other users cannot run, because the image has no flux-imp (package flux-security)", "path", imp)
		return nil
	}
	// It must be setuid root to start processes of other users.
	if err := os.Chmod(sys.at(imp), fs.ModeSetuid|0o755); err != nil {
		return fmt.Errorf("making %s setuid: %w", imp, err)
	}
	name := i.User
	if i.Credential == nil {
		name = "root"
	}
	file := path.Join(sysconfDir(i.plan.InstallRoot), "flux/imp/conf.d/imp.toml")
	text := impText(name, path.Join(i.plan.InstallRoot, "libexec/flux/flux-shell"))
	if err := sys.write(file, []byte(text), owner{0, 0}, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// impText is flux-config-security-imp(5).
func impText(user, shell string) string {
	return "[exec]\nallowed-users = [" + strconv.Quote(user) + "]\nallowed-shells = [" + strconv.Quote(shell) + "]\n"
}

// sysconfDir returns the configuration directory of an installation.
func sysconfDir(installRoot string) string {
	if path.Clean(installRoot) == "/usr" {
		return "/etc"
	}
	return path.Join(installRoot, "etc")
}

// Paths of munged(8) in Debian and Red Hat.
const (
	mungeUser   = "munge"
	mungeSocket = "/run/munge/munge.socket.2"
	mungeOwnKey = "/var/lib/munge/minicluster.key"
)

func mungeKey() string { return path.Join(plan.MungeDir, "munge.key") }

func (s system) hasMungeKey() bool {
	_, err := os.Stat(s.at(mungeKey()))
	return err == nil
}

// munge starts munged(8) if a key is mounted, as the user munge if the image has one. munged rejects keys that others
// can read and directories that others can write, as mounts are. Therefore it gets a copy of the key.
func (i *Instance) munge(ctx context.Context, sys system) error {
	if !sys.hasMungeKey() {
		return nil
	}
	env := parseEnviron(i.HookEnv)
	daemon, ok := sys.find("munged", env["PATH"]+":/usr/sbin:/sbin")
	if !ok {
		// Not an error: the owner's own jobs do not need MUNGE.
		klog.FromContext(ctx).Info("A MUNGE key is mounted, but the image has no munged: other users cannot submit jobs")
		return nil
	}
	key, err := sys.read(mungeKey())
	if err != nil {
		return fmt.Errorf("reading the MUNGE key: %w", err)
	}
	o := owner{sys.uid, sys.gid}
	var credential *syscall.Credential
	if sys.mayBecomeAnother() {
		known, err := sys.accounts()
		if err != nil {
			return err
		}
		if user, ok := known.user(mungeUser); ok {
			o = owner{user.uid, user.gid}
			credential = &syscall.Credential{Uid: id(user.uid), Gid: id(user.gid)}
		}
	}
	for dir, mode := range map[string]fs.FileMode{path.Dir(mungeSocket): 0o755, path.Dir(mungeOwnKey): 0o711, "/var/log/munge": 0o700} {
		if err := sys.mkdir(dir, o, mode); err != nil {
			return fmt.Errorf("making the directory %s for munged: %w", dir, err)
		}
	}
	if err := sys.write(mungeOwnKey, key, o, 0o400); err != nil {
		return fmt.Errorf("copying the MUNGE key: %w", err)
	}
	// The first process ends when the daemon responds, or reports what went wrong. --force: it replaces the socket of
	// an earlier container.
	cmd := exec.CommandContext(ctx, sys.at(daemon), "--force", "--key-file="+mungeOwnKey, "--socket="+mungeSocket)
	cmd.Env = i.HookEnv
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	var messages strings.Builder
	errs, err := os.CreateTemp("", "munged-*")
	if err != nil {
		return fmt.Errorf("starting munged: %w", err)
	}
	defer os.RemoveAll(errs.Name())
	defer errs.Close()
	// A file instead of a pipe: the daemon keeps it open, and waiting for the end of a pipe would block.
	cmd.Stderr = errs
	if err := cmd.Run(); err != nil {
		if text, readErr := os.ReadFile(errs.Name()); readErr == nil {
			messages.Write(text)
		}
		return fmt.Errorf("starting munged: %w: %s", err, strings.TrimSpace(messages.String()))
	}
	return nil
}
