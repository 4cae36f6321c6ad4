package prepare_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/plan"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// These tests start brokers of the Flux that is installed, with what this package
// prepares, in a mount, network and host name space of their own: /etc, /run,
// /var/lib and /home are copies on which a test can do what it likes.

// realCase is passed to a child process as JSON.
type realCase struct {
	Name string
	// System: the system layout.
	System bool
	// User that the container runs as.
	UID int
	// Root: runFluxAsRoot.
	Root bool
	// Config is a broker.toml of the user's own, but for the places in it.
	Config string
	// Cores are stated.
	Cores         int32
	DisableSocket bool
	Wrap          string
	// Needs is a program without which the case is skipped.
	Needs string
	Munge bool
	// Quiet: nothing but the program's output.
	Quiet bool
	// Script is the initial program.
	Script string
	// Want is its output.
	Want string
}

const realChild = "MINICLUSTER_TEST_REAL_FLUX"

func realCases() []realCase {
	return []realCase{
		{Name: "system layout", System: true, Script: "id -un; echo $HOME; flux uri $PPID 2>/dev/null; flux getattr local-uri; flux getattr rundir; flux getattr statedir",
			Want: "flux\n/home/flux\nlocal:///run/flux/local\n/run/flux\n/var/lib/flux\n"},
		{Name: "as root", System: true, Root: true, Script: "id -un; flux getattr statedir; flux resource list -no '{nnodes} {ncores} {state}' | grep -v ^0",
			Want: "root\n/var/lib/flux\n1 2 free\n3 6 down\n", Cores: 2},
		{Name: "other user", System: true, UID: 12345, Script: "id -u; FLUX_URI= flux proxy local:///run/flux/local flux getattr rundir; flux getattr statedir; test -w $HOME && echo home",
			Want: "12345\n/run/flux/broker\n/var/lib/flux/broker\nhome\n"},
		{Name: "view layout, other user", UID: 1000, Script: "id -u; flux getattr local-uri; . MOUNT/flux-view.sh; FLUX_URI= flux proxy $fluxsocket flux getattr statedir",
			Want: "1000\nlocal://MOUNT/config/run/flux/local\nMOUNT/config/var/lib/flux\n"},
		{Name: "view layout, root", Script: "id -u; flux run -n1 sh -c 'grep Cpus_allowed_list /proc/self/status'; flux run -n1 -o cpu-affinity=on sh -c 'grep -c Cpus_allowed_list:.0$ /proc/self/status'",
			Want: "0\nCpus_allowed_list:\tALLCPUS\n1\n"},
		{Name: "instance in a job", System: true, Script: "flux alloc -n1 flux run -n1 sh -c 'grep Cpus_allowed_list /proc/self/status'",
			Want: "Cpus_allowed_list:\tALLCPUS\n"},
		{Name: "own configuration", System: true, Config: "[bootstrap]\ncurve_cert = \"/etc/curve/curve.cert\"\ndefault_port = 8050\ndefault_bind = \"tcp://*:%p\"\ndefault_connect = \"tcp://%h:%p\"\nhosts = [{host=\"flux-sample-[0-3]\"}]\n[resource]\npath = \"/etc/flux/system/R\"\nnoverify = true\n",
			Script: "flux getattr size; flux resource list -no '{nnodes} {state}' | grep -v ^0", Want: "4\n1 free\n3 down\n"},
		{Name: "private socket", DisableSocket: true, Script: "flux getattr local-uri; stat -c %a MOUNT/config/run/flux/agent", Want: "local://MOUNT/config/run/flux/agent/local\n700\n"},
		{Name: "wrapped", Wrap: "env,A=b  c", Script: "echo \"$A\"", Want: "b  c\n"},
		{Name: "sudo", Needs: "sudo", System: true, Script: "sudo -n id -un; sudo -n sudo -u flux -E $(env) -E HOME=/home/flux flux proxy local:///run/flux/local flux getattr rank",
			Want: "root\n0\n"},
		{Name: "munge", Needs: "munged", System: true, Munge: true, Script: "munge -n | unmunge | grep -c ^STATUS:.*Success; stat -c %a /var/lib/munge/minicluster.key",
			Want: "1\n400\n"},
		{Name: "quiet", Quiet: true, Script: "echo one; echo two >&2; flux run echo three", Want: "one\ntwo\nthree\n"},
		{Name: "nothing lost on the way", Script: `printf '%s\n' 'x  y' "\\" '$HOME' "it's" 'ünï'`, Want: "x  y\n\\\n$HOME\nit's\nünï\n"},
	}
}

func TestRealFlux(t *testing.T) {
	if text := os.Getenv(realChild); text != "" {
		realBroker(t, text)
		return
	}
	if _, err := exec.LookPath("flux"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and a Flux that is installed")
	}
	cpus, err := exec.CommandContext(t.Context(), "sh", "-c", "grep Cpus_allowed_list /proc/self/status | cut -f2").Output()
	require.NoError(t, err)
	program := prepare.ProgramForAll(t)
	for _, test := range realCases() {
		t.Run(test.Name, func(t *testing.T) {
			if _, err := exec.LookPath(test.Needs); test.Needs != "" && err != nil {
				t.Skip("needs " + test.Needs)
			}
			mount := "/run/mnt/flux"
			places := strings.NewReplacer("MOUNT", mount, "ALLCPUS", strings.TrimSpace(string(cpus)))
			test.Script, test.Want = places.Replace(test.Script), places.Replace(test.Want)
			text, err := json.Marshal(test)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-test.run=^TestRealFlux$", "-test.v", "-test.count=1")
			cmd.Env = append(os.Environ(), realChild+"="+string(text))
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL,
			}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "--- PASS: TestRealFlux", "%s", out)
		})
	}
}

// realBroker runs in the child: first as root, then as the container's user.
func realBroker(t *testing.T, text string) {
	var test realCase
	require.NoError(t, json.Unmarshal([]byte(text), &test))
	if os.Getenv(realChild+"_INSIDE") == "" {
		realWorld(t, test)
		cmd := exec.CommandContext(t.Context(), os.Args[0], os.Args[1:]...)
		cmd.Env = append(os.Environ(), realChild+"_INSIDE=1", "HOME=/")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(test.UID), Gid: uint32(test.UID)}}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	p := realPlan(t, test)
	start := time.Now()
	environ := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, realChild) })
	i, err := prepare.Prepare(t.Context(), p, prepare.Options{Hostname: "flux-sample-0", Environ: environ})
	require.NoError(t, err)
	t.Logf("Flux %s, prepared in %v", i.Version, time.Since(start))
	argv, err := i.BrokerArgs(prepare.BrokerRun{
		Quorum: 1, Program: []string{"sh", "-c", test.Script}, CleanupTimeout: 5 * time.Second, ShutdownTimeout: 5 * time.Second,
	})
	require.NoError(t, err)
	t.Log(argv)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = i.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.Credential}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if test.Quiet {
		cmd.Stderr = &out
	}
	require.NoError(t, cmd.Run(), "%s\n%s", &out, &errs)
	assert.Equal(t, test.Want, out.String(), "%s", &errs)
}

// realWorld makes the file system of a pod.
func realWorld(t *testing.T, test realCase) {
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"))
	require.NoError(t, unix.Mount("proc", "/proc", "proc", 0, ""))
	require.NoError(t, unix.Sethostname([]byte("flux-sample-0")))
	for _, dir := range []string{"/etc", "/home", "/var/lib", "/root"} {
		upper, work := "/run/over"+dir+"/u", "/run/over"+dir+"/w"
		require.NoError(t, os.MkdirAll(upper, 0o755))
		require.NoError(t, os.MkdirAll(work, 0o755))
		require.NoError(t, unix.Mount("o", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)))
	}
	require.NoError(t, exec.CommandContext(t.Context(), "ip", "link", "set", "lo", "up").Run())
	// As the init containers leave them: of another user, for everybody.
	dirs := []string{"/run/mnt/flux", "/home/flux-operator"}
	if test.System {
		for _, m := range plan.SystemMounts() {
			dirs = append(dirs, m.Path)
		}
	}
	for _, dir := range dirs {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.Chmod(dir, 0o777))
		require.NoError(t, os.Chown(dir, 65532, 65532))
	}
	mc := realCluster(test)
	config, err := fluxconfig.BrokerTOML(mc, fluxconfig.Params{})
	require.NoError(t, err)
	curve, err := fluxconfig.NewCertificate(rand.Reader, "flux-sample", time.Now())
	require.NoError(t, err)
	files := map[string]string{
		filepath.Join(plan.ConfigDir, plan.FileBrokerTOML):       config,
		filepath.Join(plan.CertificateDir, plan.FileCertificate): string(curve.Text()),
	}
	if test.Munge {
		files[filepath.Join(plan.MungeDir, "munge.key")] = rand.Text() + rand.Text()
	}
	for file, content := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o444))
	}
}

func realCluster(test realCase) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{}
	mc.Name, mc.Namespace = "flux-sample", "flux-operator"
	mc.Spec.Size, mc.Spec.MaxSize = new(int32(1)), 4
	mc.Spec.Containers = []v1alpha2.MiniClusterContainer{{Image: "app", Command: "true", Cores: test.Cores}}
	mc.Spec.Logging = &v1alpha2.LoggingSpec{Quiet: test.Quiet}
	mc.Spec.Flux = &v1alpha2.FluxSpec{BrokerConfig: test.Config, DisableSocket: test.DisableSocket, Wrap: test.Wrap}
	if test.System {
		mc.Spec.Flux.InstallRoot = "/usr"
	} else {
		mc.Spec.Flux.Container = &v1alpha2.FluxContainer{MountPath: "/run/mnt/flux", Disable: true}
	}
	if test.Root {
		mc.Spec.Containers[0].Commands = &v1alpha2.Commands{RunFluxAsRoot: true}
	}
	v1alpha2.SetDefaults(mc)
	return mc
}

func realPlan(t *testing.T, test realCase) *plan.Plan {
	p, err := fluxconfig.AgentPlan(realCluster(test), fluxconfig.Params{}, 1, 30)
	require.NoError(t, err)
	p.Broker.LogLevel = 4
	return p
}
