package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// A realCluster is a MiniCluster with the installed Flux. Its pods are separate namespaces (network, mounts, host
// name) on this machine, in which the agent runs as in a container.
type realCluster struct {
	// Document is the MiniCluster.
	Document string
	// Image describes files of the image: a name that ends in / is a directory, content that begins with #! a program,
	// and content that begins with "-> " a link.
	Image map[string]string
	// UID and Groups identify the user of the container.
	UID    int
	Groups []uint32
	// Env is the environment of the container, in addition to PATH and HOME.
	Env []string
	// Dir is its working directory.
	Dir string
	// Exec are commands to run in the lead's pod, as kubectl exec does, once its program has created the file started in
	// RESULTS. The file exec in RESULTS tells the program that they have ended.
	Exec [][]string
	// Drop are capabilities that the container lacks, by number.
	Drop []int
	// ReadOnly makes the root file system of the image read-only.
	ReadOnly bool
	// Alter is a shell command that changes a pod before its agent starts.
	Alter string
	// ViewFlux are directories of flux commands, by the index of the pod whose view they are. Other views are the Flux on
	// PATH, which all images have, unless ImageFlux is the directory of another one.
	ViewFlux  map[int]string
	ImageFlux string

	// Arguments of child processes.
	Stage string
	Index int
	Curve string
	// Results is the directory for the output of the pods.
	Results string
}

// realResult is the output of the pods.
type realResult struct {
	// Code is the exit code of the lead's agent; Stdout and Stderr are what it printed.
	Code           int
	Stdout, Stderr string
	// Termination is the termination message of the lead's container.
	Termination string
	// Exec is the output of each command of Exec, and its exit code in a last line.
	Exec []string
}

const envRealCluster = "AGENT_TEST_REAL_CLUSTER"

// needRealFlux returns the directory of the flux command. It skips a test without root or an installed Flux.
func needRealFlux(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("flux")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs root and an installed Flux")
	}
	return filepath.Dir(path)
}

// run runs the cluster until the lead's pod ends.
func (c realCluster) run(t *testing.T) realResult {
	t.Helper()
	needRealFlux(t)
	dir, err := os.MkdirTemp("", "agent-real")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o1777)) // pods may run as any user
	curve, err := fluxconfig.NewCertificate(rand.Reader, "flux-sample", time.Now())
	require.NoError(t, err)
	c.Stage, c.Curve, c.Results = "net", string(curve.Text()), dir
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := c.command(ctx, t)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID
	out, err := cmd.CombinedOutput()
	var result realResult
	text, readErr := os.ReadFile(filepath.Join(dir, "result"))
	if readErr != nil || err != nil {
		for _, name := range []string{"stdout-0", "stderr-0", "stderr-1"} {
			log, _ := os.ReadFile(filepath.Join(dir, name))
			t.Logf("%s:\n%s", name, log)
		}
	}
	require.NoError(t, err, "%s", out)
	require.NoError(t, readErr, "%s", out)
	require.NoError(t, json.Unmarshal(text, &result))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("exit code %d\nstdout:\n%s\nstderr:\n%s\ntermination: %s\n%s", result.Code, result.Stdout, result.Stderr, result.Termination, out)
		}
	})
	return result
}

// command returns a command that runs this test binary in another role.
func (c realCluster) command(ctx context.Context, t *testing.T) *exec.Cmd {
	text, err := json.Marshal(c)
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestRealClusterParts$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), envRealCluster+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.WaitDelay = time.Second
	return cmd
}

// TestRealClusterParts runs one part of a realCluster in a separate process.
func TestRealClusterParts(t *testing.T) {
	text := os.Getenv(envRealCluster)
	if text == "" {
		return // not a test by itself
	}
	var c realCluster
	require.NoError(t, json.Unmarshal([]byte(text), &c))
	switch c.Stage {
	case "net":
		c.network(t)
	case "pod":
		c.pod(t)
	}
}

func sh(t *testing.T, format string, args ...any) {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput()
	require.NoError(t, err, "%s: %s", command, out)
}

// cluster is the MiniCluster.
func (c realCluster) cluster(t *testing.T) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(c.Document), mc))
	if mc.Name == "" {
		mc.Name = "flux-sample"
	}
	mc.Namespace = "default"
	if strings.HasSuffix(mc.APIVersion, "v1alpha1") {
		if mc.Spec.Flux == nil {
			mc.Spec.Flux = &v1alpha2.FluxSpec{}
		}
		if mc.Spec.Flux.InstallRoot == "" {
			mc.Spec.Flux.InstallRoot = v1alpha2.DefaultInstallRoot
		}
	}
	v1alpha2.SetDefaults(mc)
	return mc
}

func (c realCluster) size(t *testing.T) int {
	if size := c.cluster(t).Spec.Size; size != nil {
		return int(*size)
	}
	return 1
}

// network creates a bridge and connects the pods to it.
func (c realCluster) network(t *testing.T) {
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("proc", "/proc", "proc", 0, ""))
	sh(t, "ip link set lo up; ip link add br0 type bridge; ip link set br0 up")
	c.Stage = "pod"
	var lead *exec.Cmd
	for c.Index = c.size(t) - 1; c.Index >= 0; c.Index-- {
		cmd := c.command(t.Context(), t)
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		require.NoError(t, cmd.Start())
		sh(t, "ip link add v%[1]d type veth peer name eth0 netns %[2]d; ip link set v%[1]d master br0 up", c.Index, cmd.Process.Pid)
		lead = cmd
	}
	require.NoError(t, lead.Wait()) // other pods end with this process
}

// pod creates the environment of a container and runs the agent in it.
func (c realCluster) pod(t *testing.T) {
	require.Eventually(t, func() bool { _, err := net.InterfaceByName("eth0"); return err == nil }, patience, 5*time.Millisecond)
	sh(t, "ip link set lo up; ip addr add 10.99.0.%d/24 dev eth0; ip link set eth0 up", c.Index+1)
	mc := c.cluster(t)
	c.world(t, mc)
	out, errOut := c.file(t, "stdout"), c.file(t, "stderr")
	cmd := c.inContainer(t, plan.AgentPath, "run")
	cmd.Stdout, cmd.Stderr = out, errOut
	require.NoError(t, cmd.Start())
	result := realResult{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the exit code is read below
	}()
	if c.Index == 0 && len(c.Exec) > 0 {
		result.Exec = c.execInPod(t, ended)
	}
	<-ended
	if c.Index > 0 {
		return
	}
	result.Code = cmd.ProcessState.ExitCode()
	result.Stdout, result.Stderr = c.read(t, out.Name()), c.read(t, errOut.Name())
	result.Termination = c.read(t, "/dev/termination-log")
	text, err := json.Marshal(result)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(c.Results, "result"), text, 0o644))
}

func (c realCluster) file(t *testing.T, name string) *os.File {
	f, err := os.Create(filepath.Join(c.Results, name+"-"+strconv.Itoa(c.Index)))
	require.NoError(t, err)
	return f
}

func (c realCluster) read(t *testing.T, name string) string {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// execInPod runs the commands of Exec.
func (c realCluster) execInPod(t *testing.T, ended <-chan struct{}) []string {
	started := false
	require.Eventually(t, func() bool {
		select {
		case <-ended:
			return true
		default:
			_, err := os.Stat(filepath.Join(c.Results, "started"))
			started = err == nil
			return started
		}
	}, patience, 20*time.Millisecond)
	if !started {
		return nil
	}
	var out []string
	for _, words := range c.Exec {
		cmd := c.inContainer(t, words...)
		text, err := cmd.CombinedOutput()
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) {
			text = append(text, err.Error()...)
		}
		out = append(out, string(bytes.TrimSpace(text))+"\n"+strconv.Itoa(cmd.ProcessState.ExitCode()))
	}
	// The program that waits for it continues.
	require.NoError(t, os.WriteFile(filepath.Join(c.Results, "exec"), nil, 0o644))
	return out
}

// containerPath is the PATH of the image.
const containerPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// inContainer returns a command that starts like the process of a container.
func (c realCluster) inContainer(t *testing.T, words ...string) *exec.Cmd {
	setpriv := []string{"setpriv", "--reuid", strconv.Itoa(c.UID), "--regid", strconv.Itoa(c.UID)}
	if len(c.Groups) > 0 {
		var groups []string
		for _, g := range c.Groups {
			groups = append(groups, strconv.Itoa(int(g)))
		}
		setpriv = append(setpriv, "--groups", strings.Join(groups, ","))
	} else {
		setpriv = append(setpriv, "--clear-groups")
	}
	var drop []string
	for _, bit := range c.Drop {
		drop = append(drop, "-cap_"+strconv.Itoa(bit))
	}
	if len(drop) > 0 {
		setpriv = append(setpriv, "--bounding-set", strings.Join(drop, ","), "--inh-caps", strings.Join(drop, ","))
	}
	words = append(setpriv, words...)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = append([]string{
		envMain + "=1", "JOB_COMPLETION_INDEX=" + strconv.Itoa(c.Index), "HOME=/root", "LANG=C.UTF-8", "RESULTS=" + c.Results,
		"PATH=" + containerPath + ":" + cmp.Or(c.ImageFlux, needRealFlux(t)),
	}, c.Env...)
	return cmd
}

// imageDirs are the directories of this machine that each pod gets a copy of.
func imageDirs() []string {
	return []string{"/etc", "/home", "/mnt", "/opt", "/root", "/srv", "/usr/local", "/var/lib"}
}

// world creates the file system of the pod.
func (c realCluster) world(t *testing.T, mc *v1alpha2.MiniCluster) {
	require.NoError(t, unix.Sethostname([]byte(fmt.Sprintf("%s-%d", mc.Name, c.Index))))
	require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"))
	require.NoError(t, unix.Mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777"))
	for _, dir := range imageDirs() {
		upper, work := "/run/over"+dir+"/u", "/run/over"+dir+"/w"
		require.NoError(t, os.MkdirAll(upper, 0o755))
		require.NoError(t, os.MkdirAll(work, 0o755))
		require.NoError(t, unix.Mount("o", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)))
	}
	size := c.size(t)
	p, err := fluxconfig.AgentPlan(mc, fluxconfig.Params{}, int32(size), 30)
	require.NoError(t, err)
	p.HTTPPort = 0
	c.mounts(t, p)
	text, err := p.Text()
	require.NoError(t, err)
	config, err := fluxconfig.BrokerTOML(mc, fluxconfig.Params{})
	require.NoError(t, err)
	hosts := "127.0.0.1 localhost\n"
	for i := range size {
		hosts += fmt.Sprintf("10.99.0.%[1]d %[2]s-%[3]d.%[4]s %[2]s-%[3]d\n", i+1, mc.Name, i, p.Domain)
	}
	for name, content := range map[string]string{
		filepath.Join(plan.ConfigDir, plan.FilePlan):             text,
		filepath.Join(plan.ConfigDir, plan.FileBrokerTOML):       config,
		filepath.Join(plan.ConfigDir, plan.FileQuorum):           strconv.Itoa(size) + "\n",
		filepath.Join(plan.CertificateDir, plan.FileCertificate): c.Curve,
		"/etc/hosts": hosts,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o444))
	}
	// A file on a tmpfs stands for the one that the kubelet mounts.
	require.NoError(t, os.WriteFile("/run/termination-log", nil, 0o666))
	require.NoError(t, os.Chmod("/run/termination-log", 0o666))
	if _, err := os.Stat("/dev/termination-log"); err != nil {
		require.NoError(t, os.WriteFile("/dev/termination-log", nil, 0o666))
	}
	require.NoError(t, unix.Mount("/run/termination-log", "/dev/termination-log", "", unix.MS_BIND, ""))
	for name, content := range c.Image {
		imageFile(t, name, content)
	}
	if c.Alter != "" {
		sh(t, "%s", c.Alter)
	}
	if c.ReadOnly {
		sh(t, "for dir in %s; do mount -o remount,bind,ro $dir || exit; done", strings.Join(imageDirs(), " "))
	}
}

// mounts creates the volumes of the pod as its init containers leave them: owned by another user, writable by all.
func (c realCluster) mounts(t *testing.T, p *plan.Plan) {
	require.NoError(t, os.MkdirAll(plan.SharedDir, 0o755))
	require.NoError(t, unix.Mount("tmpfs", plan.SharedDir, "tmpfs", 0, "mode=0777"))
	require.NoError(t, newAgent("/").install())
	require.NoError(t, os.MkdirAll(plan.CurveDir, 0o755))
	require.NoError(t, unix.Mount("tmpfs", plan.CurveDir, "tmpfs", 0, "mode=0777"))
	if p.View != nil {
		require.NoError(t, os.MkdirAll(p.View.MountPath, 0o777))
		require.NoError(t, unix.Mount("tmpfs", p.View.MountPath, "tmpfs", 0, "mode=0777"))
		if p.View.Copied {
			// The view is a Flux of this machine.
			dir := cmp.Or(c.ViewFlux[c.Index], needRealFlux(t))
			require.NoError(t, os.Symlink(filepath.Dir(dir), filepath.Join(p.View.MountPath, "view")))
		}
		return
	}
	for _, m := range plan.SystemMounts() {
		require.NoError(t, os.MkdirAll(m.Path, 0o755))
		require.NoError(t, unix.Mount(filepath.Join(plan.SharedDir, m.SubPath), m.Path, "", unix.MS_BIND, ""))
	}
}

func imageFile(t *testing.T, name, content string) {
	if strings.HasSuffix(name, "/") {
		require.NoError(t, os.MkdirAll(name, 0o755))
		return
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		require.NoError(t, os.Symlink(target, name))
		return
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(content, "#!") {
		mode = 0o755
	}
	require.NoError(t, os.WriteFile(name, []byte(content), mode))
}
