package prepare

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// asOther runs a test again as a user who is not root and owns nothing. It reports whether the current process runs
// as that user.
func asOther(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	cmd := exec.CommandContext(t.Context(), ProgramForAll(t), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// mounts creates the directories of the system layout as those of another user. The sticky bit has the same effect as
// another owner.
func mounts(t *testing.T, root string) {
	t.Helper()
	for _, m := range plan.SystemMounts() {
		dir := filepath.Join(root, m.Path)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.Chmod(dir, 0o777))
	}
}

// A user who is not root gets separate directories below those of the system layout, and a link to its socket.
func TestDirectoriesOfAnotherUser(t *testing.T) {
	if !asOther(t) {
		return
	}
	root := image(t, nil)
	mounts(t, root)
	sys := newSystem(root)
	i := newInstance(systemPlan(), options(root))
	i.UID, i.GID, i.Home = uint32(sys.uid)+1, uint32(sys.gid), "/home/me" // so that the user owns none of them
	require.ErrorContains(t, i.directories(t.Context(), sys), "making the directory /run/flux/broker of user")

	i.UID = uint32(sys.uid)
	require.NoError(t, os.Remove(filepath.Join(root, "run/flux/broker")))
	i.Files.RunDir, i.Files.StateDir = "/run/flux", "/tmp/sticky"
	require.NoError(t, os.Mkdir(filepath.Join(root, "tmp/sticky"), 0o755))
	require.NoError(t, i.directories(t.Context(), sys))
	assert.Equal(t, "/run/flux", i.Files.RunDir, "its own")
	assert.DirExists(t, filepath.Join(root, "home/me"))
}

func TestOwnDirectory(t *testing.T) {
	needRoot(t)
	root := image(t, nil)
	sys := newSystem(root)
	i := newInstance(systemPlan(), options(root))
	i.UID, i.GID = 1000, 1000
	other := filepath.Join(root, "var/lib/flux")
	require.NoError(t, os.MkdirAll(other, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(other, "content.sqlite"), nil, 0o600))
	require.NoError(t, os.Symlink("/etc/shadow", filepath.Join(other, "link")))
	require.NoError(t, os.Chown(other, 7, 7))
	dir, err := i.ownDirectory(sys, "/var/lib/flux", 0o700)
	require.NoError(t, err)
	assert.Equal(t, "/var/lib/flux", dir)
	got := tree(t, root, "/var/lib/flux", "/etc/shadow")
	assert.Contains(t, got, "drwx------ 1000:1000 /var/lib/flux\n")
	assert.Contains(t, got, "-rw------- 1000:1000 /var/lib/flux/content.sqlite", "the state of an earlier user")
	assert.Contains(t, got, "-rw-r--r-- 0:0 /etc/shadow", "links are not followed")
}

// A read-only image is not an error.
func TestReadOnlyImage(t *testing.T) {
	root := image(t, map[string]string{"/home": "no directory", "/logs": "nor this", "/etc/sudoers.d/minicluster/in/the/way": ""})
	i, err := Prepare(t.Context(), viewPlan(func(p *plan.Plan) { p.Lead.Logs = "/logs/a" }), options(root))
	require.NoError(t, err)
	assert.Equal(t, "/mnt/flux/config/run/flux/home", i.Home)
	assert.Contains(t, i.Env, "HOME=/mnt/flux/config/run/flux/home")
	_, err = Prepare(t.Context(), viewPlan(func(p *plan.Plan) { p.Lead = plan.Program{Logs: "/logs/a", Mode: plan.ModeBatch} }), options(root))
	require.ErrorContains(t, err, "making the directory /logs/a for the output of jobs")
	var spec *SpecError
	require.ErrorAs(t, err, &spec, "each pod would fail in the same way")
	assert.False(t, isPermanent(&os.PathError{Op: "mkdir", Path: "/logs", Err: syscall.ESTALE}), "a file server may recover")
	if os.Geteuid() == 0 {
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("flux:x:50:60::/home/flux:/bin/sh\n"), 0o644))
		i, err = Prepare(t.Context(), systemPlan(), options(root))
		require.NoError(t, err)
		assert.Equal(t, "/run/flux/home", i.Home)
	}
}

// TestRootSquash: a file server that maps root to nobody refuses what root may do elsewhere, as Linux does for threads
// whose file system user is another one.
func TestRootSquash(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	for name, mode := range map[string]os.FileMode{"closed": 0o755, "open": 0o777} {
		t.Run(name, func(t *testing.T) {
			root := image(t, map[string]string{"/state/": ""})
			require.NoError(t, os.Chmod(root, 0o755))
			require.NoError(t, os.Chown(filepath.Join(root, "state"), 1234, 1234))
			require.NoError(t, os.Chmod(filepath.Join(root, "state"), mode))
			i := &Instance{}
			runtime.LockOSThread()
			require.NoError(t, unix.Setfsuid(65534))
			_, err := i.ownDirectory(newSystem(root), "/state", 0o700)
			require.NoError(t, unix.Setfsuid(0))
			runtime.UnlockOSThread()
			require.ErrorContains(t, err, "making the directory /state")
			assert.ErrorContains(t, err, "root_squash")
		})
	}
}

func TestStateVolume(t *testing.T) {
	root := image(t, map[string]string{"/state/": ""})
	withVolume := func(p *plan.Plan) { p.StateVolume = "/state" }
	i, err := Prepare(t.Context(), viewPlan(withVolume), options(root))
	require.NoError(t, err)
	assert.Equal(t, "/state", i.Files.StateDir)
	assert.DirExists(t, filepath.Join(root, "mnt/flux/config/var/lib/flux"), "for the database of jobs")
	o := options(root)
	o.Index, o.Hostname = 1, "flux-sample-1"
	i, err = Prepare(t.Context(), viewPlan(withVolume), o)
	require.NoError(t, err)
	assert.Equal(t, "/mnt/flux/config/var/lib/flux", i.Files.StateDir, "the cluster of the lead")
	assert.False(t, i.Lead)
	i, err = Prepare(t.Context(), viewPlan(func(p *plan.Plan) { p.Child = true }), options(root))
	require.NoError(t, err)
	assert.False(t, i.Lead, "the lead belongs to another cluster")
}

// A client finds the socket, also through the link.
func TestSocket(t *testing.T) {
	root := image(t, nil)
	sys := newSystem(root)
	i := newInstance(systemPlan(), options(root))
	i.UID, i.GID = id(sys.uid), id(sys.gid)
	i.Files.RunDir = "/run/flux/broker"
	require.NoError(t, os.MkdirAll(filepath.Join(root, "run/flux/broker"), 0o755))
	for range 2 {
		i.Files.Socket = "/run/flux/local"
		require.NoError(t, i.placeSocket(sys))
		assert.Equal(t, "/run/flux/broker/local", i.Files.Socket)
		assert.Equal(t, "local:///run/flux/broker/local", i.Files.SocketURI)
	}
	short := filepath.Join(root, "run/flux")
	t.Chdir(short) // the address of a socket is limited
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", "broker/local")
	require.NoError(t, err)
	defer l.Close()
	c, err := new(net.Dialer).DialContext(t.Context(), "unix", "local")
	require.NoError(t, err)
	require.NoError(t, c.Close())

	i.plan.Broker.DisableSocket = true
	require.NoError(t, i.placeSocket(sys))
	assert.Equal(t, "local:///run/flux/broker/agent/local", i.Files.SocketURI)
	info, err := os.Stat(filepath.Join(root, "run/flux/broker/agent"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
}

func TestWriteIsWholeOrNothing(t *testing.T) {
	sys := newSystem(t.TempDir())
	require.NoError(t, sys.write("/a/b", []byte("one"), owner{sys.uid, sys.gid}, 0o600))
	require.NoError(t, os.Mkdir(sys.at("/a/c"), 0o755))
	require.Error(t, sys.write("/a/c", nil, owner{sys.uid, sys.gid}, 0o600))
	entries, err := os.ReadDir(sys.at("/a"))
	require.NoError(t, err)
	assert.Len(t, entries, 2, "no files remain")
}

func TestAppendLine(t *testing.T) {
	root := image(t, map[string]string{"/etc/passwd": "a", "/etc/group": ""})
	sys := newSystem(root)
	require.NoError(t, sys.appendLine(passwdFile, "b"))
	require.NoError(t, sys.appendLine(passwdFile, "c"))
	require.NoError(t, sys.appendLine(groupFile, "g"))
	text, err := sys.read(passwdFile)
	require.NoError(t, err)
	assert.Equal(t, "a\nb\nc\n", string(text))
	text, err = sys.read(groupFile)
	require.NoError(t, err)
	assert.Equal(t, "g\n", string(text))
	assert.ErrorIs(t, sys.appendLine("/etc/none", "x"), fs.ErrNotExist)
}

func TestCapabilities(t *testing.T) {
	caps, err := parseCapabilities([]byte("Name:\tx\nCapEff:\t00000000a80425fb\n"))
	require.NoError(t, err)
	assert.Equal(t, uint64(0xa80425fb), caps)
	_, err = parseCapabilities([]byte("CapEff:\tno\n"))
	require.Error(t, err)
	_, err = parseCapabilities(nil)
	require.ErrorContains(t, err, "no CapEff line")
	assert.False(t, system{uid: 1000}.mayBecomeAnother())
}

func TestFluxCommand(t *testing.T) {
	root := image(t, nil)
	p := viewPlan(func(p *plan.Plan) { p.View.Copied = false })
	_, err := Prepare(t.Context(), p, options(root))
	require.NoError(t, err)
	c, err := FluxCommand(t.Context(), p, options(root), []string{"resource", "list"})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(root, "/usr/bin/flux"), c.Path)
	assert.Equal(t, []string{"flux", "resource", "list"}, c.Args)
	assert.Contains(t, c.Env, "FLUX_URI=local:///mnt/flux/config/run/flux/local")
	assert.Nil(t, c.Credential)

	p.Broker.DisableSocket = true
	i, err := Prepare(t.Context(), p, options(root))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, i.Files.Socket), nil, 0o600))
	c, err = FluxCommand(t.Context(), p, options(root), nil)
	require.NoError(t, err)
	assert.Contains(t, c.Env, "FLUX_URI="+i.Files.SocketURI)

	c, err = FluxCommand(t.Context(), p, Options{Root: root, Environ: []string{"PATH=/none"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(root, "/usr/bin/flux"), c.Path, "the broker's Flux, even if PATH has none")

	job := []string{"PATH=/bin", "FLUX_URI=local:///job"}
	c, err = FluxCommand(t.Context(), p, Options{Root: root, Environ: job, KeepURI: true}, []string{"jobs"})
	require.NoError(t, err)
	assert.Equal(t, job, c.Env, "a process of a job connects to the job's instance")
	assert.Nil(t, c.Credential)

	require.NoError(t, os.Remove(filepath.Join(root, binDir(p), "flux")))
	_, err = FluxCommand(t.Context(), p, Options{Root: root, Environ: []string{"PATH=/none"}}, nil)
	assert.ErrorContains(t, err, "no command flux")
}

func TestFluxCommandBecomesTheUser(t *testing.T) {
	needRoot(t)
	root := image(t, nil)
	i, err := Prepare(t.Context(), systemPlan(), options(root))
	require.NoError(t, err)
	before := tree(t, root, "/etc", "/home", "/run")
	c, err := FluxCommand(t.Context(), systemPlan(), options(root), []string{"version"})
	require.NoError(t, err)
	assert.Equal(t, i.Credential, c.Credential)
	assert.Contains(t, c.Env, "HOME=/home/flux")
	assert.Contains(t, c.Env, "USER=flux")
	assert.Equal(t, before, tree(t, root, "/etc", "/home", "/run"), "nothing changes")
	assert.ErrorContains(t, (&Command{Path: filepath.Join(root, "none")}).Exec(), "executing "+strings.TrimSuffix(root, "/"))
}
