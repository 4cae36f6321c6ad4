package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// ownName is the directory of a broker below a directory that its user cannot own.
const ownName = "broker"

// privateName is the directory of a socket that is hidden from users.
const privateName = "agent"

// directories makes the directories of the broker.
//
// A broker starts only if its user owns its rundir, its statedir and the directory of its socket (and recent versions
// of Flux create another rundir below one with the sticky bit). These directories may be mounts with another owner.
// An agent that runs as root takes them over; any other agent makes its own directories below them, and a symbolic
// link at the documented path of the socket.
func (i *Instance) directories(ctx context.Context, sys system) error {
	o := i.owner()
	// The directory of the job database is created too, since the state may be in another directory.
	for _, dir := range []string{i.Files.ConfigDir, path.Dir(i.Files.R), i.Files.CronDir, path.Dir(i.Files.CurveCert), path.Dir(i.Files.JobArchive)} {
		if err := sys.mkdir(dir, o, 0o755); err != nil {
			return fmt.Errorf("making the directory %s: %w", dir, err)
		}
	}
	var err error
	if i.Files.RunDir, err = i.ownDirectory(sys, i.Files.RunDir, 0o755); err != nil {
		return err
	}
	// Other users of the pod must not read the database, which contains jobs and their environment.
	stateDir := i.Files.StateDir
	if i.Lead && i.plan.StateVolume != "" {
		stateDir = i.plan.StateVolume
	}
	if i.Files.StateDir, err = i.ownDirectory(sys, stateDir, 0o700); err != nil {
		return err
	}
	if err := i.placeSocket(sys); err != nil {
		return err
	}
	if err := i.homeDirectory(sys); err != nil {
		return err
	}
	return i.outputDirectory(ctx, sys)
}

// homeDirectory makes the home directory, or another one if the image is read-only.
func (i *Instance) homeDirectory(sys system) error {
	if sys.isDir(i.Home) {
		return nil
	}
	if err := sys.mkdir(i.Home, i.owner(), 0o755); err == nil {
		return nil
	}
	i.Home = path.Join(i.Files.RunDir, "home")
	if err := sys.mkdir(i.Home, i.owner(), 0o755); err != nil {
		return fmt.Errorf("making the home directory %s: %w", i.Home, err)
	}
	return nil
}

// rootSquashAdvice is what to do about a directory of another user, even as root.
const rootSquashAdvice = "a volume whose server maps root to nobody (root_squash) needs a container that runs as the owner of the directory"

// ownDirectory returns a directory that belongs to the broker's user: dir, or a directory below it.
func (i *Instance) ownDirectory(sys system, dir string, mode fs.FileMode) (string, error) {
	o := i.owner()
	foreign := sys.isDir(dir) && !sys.owns(dir, o)
	err := sys.mkdir(dir, o, mode)
	if err == nil && foreign && sys.owns(dir, o) {
		err = sys.chownAll(dir, o)
	}
	if err == nil && !sys.owns(dir, o) {
		dir = path.Join(dir, ownName)
		err = sys.mkdir(dir, o, mode)
	}
	if err == nil && !sys.owns(dir, o) {
		err = errors.New("it belongs to another user, and this container may not change that; " + rootSquashAdvice)
	} else if foreign && errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; %s", err, rootSquashAdvice)
	}
	if err != nil {
		return "", fmt.Errorf("making the directory %s of user %d: %w", dir, o.uid, err)
	}
	return dir, nil
}

// owns reports whether Flux accepts a directory as the user's own.
func (s system) owns(dir string, o owner) bool {
	info, err := os.Stat(s.at(dir))
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == o.uid && info.Mode().Perm()&0o700 == 0o700 && info.Mode()&fs.ModeSticky == 0
}

// chownAll changes the owner of the content of a directory, for example of a state that another user wrote.
func (s system) chownAll(dir string, o owner) error {
	return filepath.WalkDir(s.at(dir), func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, o.uid, o.gid)
	})
}

// placeSocket decides where the broker's socket is. A socket that is hidden from users is in a directory that only
// the broker's user and the agent can enter.
func (i *Instance) placeSocket(sys system) error {
	usual := i.Files.Socket
	if i.plan.Broker.DisableSocket {
		dir := path.Join(i.Files.RunDir, privateName)
		if err := sys.mkdir(dir, i.owner(), 0o700); err != nil {
			return fmt.Errorf("making the directory %s: %w", dir, err)
		}
		i.setSocket(path.Join(dir, "local"))
		return nil
	}
	i.setSocket(path.Join(i.Files.RunDir, path.Base(usual)))
	if i.Files.Socket == usual {
		return nil
	}
	target, err := filepath.Rel(path.Dir(usual), i.Files.Socket)
	if err == nil {
		err = sys.symlink(target, usual)
	}
	if err != nil {
		return fmt.Errorf("linking %s to the broker's socket: %w", usual, err)
	}
	return nil
}

func (i *Instance) setSocket(socket string) {
	i.Files.Socket = socket
	i.Files.SocketURI = "local://" + socket
}

// symlink makes a symbolic link, or replaces it.
func (s system) symlink(target, name string) error {
	if old, err := os.Readlink(s.at(name)); err == nil && old == target {
		return nil
	}
	temporary := s.at(name) + ".minicluster"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, s.at(name))
}

// outputDirectory makes the directory for the output of batch jobs. Other modes work without it.
func (i *Instance) outputDirectory(ctx context.Context, sys system) error {
	dir := i.outputDir()
	if sys.isDir(dir) {
		return nil // a volume keeps its owner
	}
	err := sys.mkdir(dir, i.owner(), 0o755)
	switch {
	case err == nil:
		return nil
	case i.plan.Lead.Mode == plan.ModeBatch:
		err = fmt.Errorf("making the directory %s for the output of jobs: %w", dir, err)
		if isPermanent(err) {
			return &SpecError{fmt.Errorf("%w; set logs to a directory of a volume", err)}
		}
		return err
	default:
		klog.FromContext(ctx).V(1).Info("Failed to make the directory for the output of jobs", "directory", dir, "reason", err.Error())
		return nil
	}
}

// isPermanent reports whether a directory can't be made in any pod of the MiniCluster, in contrast to errors of a file
// server.
func isPermanent(err error) bool {
	for _, permanent := range []error{syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOTDIR, syscall.EEXIST} {
		if errors.Is(err, permanent) {
			return true
		}
	}
	return false
}

// defaultOutputDir is the directory that flux-operator uses.
const defaultOutputDir = "/tmp/fluxout"

func (i *Instance) outputDir() string {
	if i.plan.Lead.Logs != "" {
		return i.plan.Lead.Logs
	}
	return defaultOutputDir
}

// configuration writes the files that the broker reads.
func (i *Instance) configuration(sys system) error {
	config, err := sys.brokerTOML()
	if err != nil {
		return fmt.Errorf("reading the configuration of the brokers: %w", err)
	}
	certificate, err := sys.read(source(plan.CertificateDir, plan.FileCertificate))
	if err != nil {
		return fmt.Errorf("reading the certificate of the brokers: %w", err)
	}
	o := i.owner()
	for _, file := range []struct {
		path    string
		content []byte
		mode    fs.FileMode
	}{
		{i.Files.BrokerTOML, config, 0o644},
		// Flux rejects a secret key that other users can read.
		{i.Files.CurveCert, certificate, 0o600},
		{i.Files.Hostlist, []byte(i.plan.Hosts + "\n"), 0o644},
	} {
		if err := sys.write(file.path, file.content, o, file.mode); err != nil {
			return fmt.Errorf("writing %s: %w", file.path, err)
		}
	}
	return nil
}
