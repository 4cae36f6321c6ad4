package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// These tests run agents in pods of namespaces, with brokers of the installed Flux. Each pod has its own process IDs,
// host name and file system, and all share a network.
const (
	// envFluxNet is set in the process that has the network.
	envFluxNet = "AGENT_TEST_REAL_NET"
	// envFluxPod is set in the first process of a pod: a fluxPod as JSON.
	envFluxPod = "AGENT_TEST_REAL_POD"
)

// fluxPod describes a pod of the real cluster.
type fluxPod struct {
	Index  int
	Dir    string // with the files of the cluster; all pods see it
	Domain string
	// Program is the agent, "" for this program.
	Program string
	Args    []string
	// Alone: the pod has a separate network.
	Alone bool
	// Shared: the agent is not the first process of the pod.
	Shared bool
}

// fluxCluster is a cluster of agents with the real Flux.
type fluxCluster struct {
	t     *testing.T
	dir   string
	plan  *plan.Plan
	pods  []*exec.Cmd
	ended []chan struct{}
	// program, alone and shared apply to all pods, see fluxPod.
	program       string
	alone, shared bool
	// installRoot is the prefix of Flux in the system layout, which has the broker's user and further users. Without it,
	// the layout is that of a view.
	installRoot string
	users       []string
}

// inFluxNet runs a test again in separate namespaces, where it can start real clusters.
func inFluxNet(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(envFluxNet) != "" {
		require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		require.NoError(t, unix.Mount("proc", "/proc", "proc", 0, ""))
		require.NoError(t, exec.CommandContext(t.Context(), "ip", "link", "set", "lo", "up").Run())
		f(t)
		return
	}
	if _, err := exec.LookPath("flux"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and an installed Flux")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v", "-test.count=1",
		fmt.Sprintf("-random-signals=%d", *randomSignals), fmt.Sprintf("-random-signals-seed=%d", *randomSignalsSeed),
		"-random-signals-only="+*randomSignalsOnly)
	cmd.Env = append(os.Environ(), envFluxNet+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name(), "%s", out)
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "MEASURED") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// newFluxCluster prepares a cluster. Its pods see the directory dir, which every user can write to.
func newFluxCluster(t *testing.T, size int, grace int64) *fluxCluster {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "real-cluster-") // other users cannot read t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	linkProgram(t, filepath.Join(dir, "agent"))
	c := &fluxCluster{t: t, dir: dir}
	c.layout(size, size, grace)
	curve, err := fluxconfig.NewCertificate(rand.Reader, "flux-sample", time.Now())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, plan.FileCertificate), curve.Text(), 0o444))
	return c
}

// linkProgram makes this program available under another name. A copy could not run while another test that has just
// forked a process has it open for writing.
func linkProgram(t *testing.T, name string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	if os.Link(self, name) == nil {
		return
	}
	program, err := os.ReadFile(self) // it is on another file system
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, program, 0o755))
}

// layout writes the configuration of a cluster of size pods, of at most maxSize. The pods must have ended.
func (c *fluxCluster) layout(size, maxSize int, grace int64) {
	c.t.Helper()
	mc := &v1alpha2.MiniCluster{}
	mc.Name, mc.Namespace = "flux-sample", "flux-operator"
	mc.Spec.Size, mc.Spec.MaxSize = new(int32(size)), int32(maxSize)
	mc.Spec.Containers = []v1alpha2.MiniClusterContainer{{Image: "app", Command: "true"}}
	mc.Spec.Flux = &v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{MountPath: "/run/mnt/flux", Disable: true}}
	if c.installRoot != "" {
		mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: c.installRoot, MungeSecret: "munge"}
		for _, name := range c.users {
			mc.Spec.Users = append(mc.Spec.Users, v1alpha2.MiniClusterUser{Name: name})
		}
	}
	v1alpha2.SetDefaults(mc)
	p, err := fluxconfig.AgentPlan(mc, fluxconfig.Params{}, int32(size), grace)
	require.NoError(c.t, err)
	p.HTTPPort, p.Broker.LogLevel = 0, 4
	config, err := fluxconfig.BrokerTOML(mc, fluxconfig.Params{})
	require.NoError(c.t, err)
	for name, text := range map[string]string{plan.FileBrokerTOML: config, plan.FileQuorum: strconv.Itoa(size)} {
		require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o444))
	}
	require.NoError(c.t, os.RemoveAll(filepath.Join(c.dir, plan.FilePlan)))
	c.plan, c.pods, c.ended = p, make([]*exec.Cmd, maxSize), make([]chan struct{}, maxSize)
}

// start starts the agent of a pod.
func (c *fluxCluster) start(index int) {
	c.t.Helper()
	if _, err := os.Stat(filepath.Join(c.dir, plan.FilePlan)); err != nil {
		text, err := json.Marshal(c.plan)
		require.NoError(c.t, err)
		require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, plan.FilePlan), text, 0o444))
	}
	about, err := json.Marshal(fluxPod{Index: index, Dir: c.dir, Domain: c.plan.Domain, Program: c.program, Args: []string{"run"}, Alone: c.alone, Shared: c.shared})
	require.NoError(c.t, err)
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(c.dir, "agent"))
	cmd.Env = []string{"PATH=" + podBin + ":" + os.Getenv("PATH"), envFluxPod + "=" + string(about), "JOB_COMPLETION_INDEX=" + strconv.Itoa(index), "SHARED=" + c.dir}
	log, err := os.OpenFile(c.log(index), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(c.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID}
	if c.alone {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
	}
	require.NoError(c.t, cmd.Start())
	ended := make(chan struct{})
	c.pods[index], c.ended[index] = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // wait reads the exit code
	}()
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if c.t.Failed() {
			text, _ := os.ReadFile(c.log(index))
			c.t.Logf("pod %d:\n%s", index, text)
		}
	})
}

func (c *fluxCluster) log(index int) string {
	return filepath.Join(c.dir, fmt.Sprintf("log-%d", index))
}

// signal sends a signal to the first process of each of these pods.
func (c *fluxCluster) signal(sig syscall.Signal, indexes ...int) {
	c.t.Helper()
	for _, index := range indexes {
		require.NoError(c.t, c.pods[index].Process.Signal(sig))
	}
}

// wait returns the exit code of a pod.
func (c *fluxCluster) wait(index int) int {
	c.t.Helper()
	return c.waitFor(index, patience)
}

func (c *fluxCluster) waitFor(index int, timeout time.Duration) int {
	c.t.Helper()
	select {
	case <-c.ended[index]:
	case <-time.After(timeout):
		require.Fail(c.t, "the pod does not end", "%d", index)
	}
	return c.pods[index].ProcessState.ExitCode()
}

// read returns the content of a file in the shared directory, "" if it does not exist.
func (c *fluxCluster) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(c.dir, name))
	return string(text)
}

// eventually waits for a condition.
func (c *fluxCluster) eventually(what string, condition func() bool) {
	c.t.Helper()
	require.Eventually(c.t, condition, patience, 10*time.Millisecond, what)
}

// flux runs a flux command in a pod, as kubectl exec does.
func (c *fluxCluster) flux(index int, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	// The agent is the only child of the process that entered the namespaces: that process itself.
	words := append([]string{"env", envMain + "=1", "SHARED=" + c.dir, filepath.Join(c.dir, "agent"), "flux", "--"}, args...)
	out, err := c.inPod(ctx, index, words...).CombinedOutput()
	return string(out), err
}

// inPod returns a command in a pod.
func (c *fluxCluster) inPod(ctx context.Context, index int, words ...string) *exec.Cmd {
	args := append([]string{"--target", strconv.Itoa(c.pods[index].Process.Pid), "--mount", "--uts", "--pid"}, words...)
	return exec.CommandContext(ctx, "nsenter", args...)
}

// enter runs a command in a pod.
func (c *fluxCluster) enter(index int, words ...string) {
	c.t.Helper()
	out, err := c.inPod(c.t.Context(), index, words...).CombinedOutput()
	require.NoError(c.t, err, "%s", out)
}

// startControlled starts the first pods of a cluster whose lead serves the controller, and returns the controller's
// client. The pods share a network, and only the agent of the lead, which starts first, can have the ports.
func (c *fluxCluster) startControlled(pods int) *control.Client {
	c.t.Helper()
	c.plan.HTTPPort = 9560
	credentials, err := control.NewCredentials("flux-sample-0", time.Now())
	require.NoError(c.t, err)
	for name, text := range credentials {
		require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, name), text, 0o444))
	}
	client, err := control.NewClient(credentials, "flux-sample-0")
	require.NoError(c.t, err)
	c.start(0)
	c.eventually("the lead's agent", func() bool { return c.ready() != "" })
	for index := 1; index < pods; index++ {
		c.start(index)
	}
	return client
}

// ready returns what the lead's readiness probe is answered, "" if there is no answer.
func (c *fluxCluster) ready() string { return c.scrape("/readyz") }

// scrape returns the response of the lead's agent, "" if there is none.
func (c *fluxCluster) scrape(path string) string {
	url := fmt.Sprintf("http://127.0.0.1:%d%s", c.plan.HTTPPort, path)
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	require.NoError(c.t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

// enterFluxPod creates the file system of a pod and becomes its agent. It does not return.
func enterFluxPod(text string) error {
	var about fluxPod
	if err := json.Unmarshal([]byte(text), &about); err != nil {
		return err
	}
	if err := mountFluxPod(about); err != nil {
		return err
	}
	environ := []string{envMain + "=1", quickExit}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, envFluxPod) {
			environ = append(environ, entry)
		}
	}
	if about.Program == "" {
		about.Program = os.Args[0]
	}
	if about.Shared {
		return becomePause(about, environ)
	}
	return syscall.Exec(about.Program, append([]string{about.Program}, about.Args...), environ)
}

// podBin is the first directory in the PATH of a pod, where the agent makes its command flux. The others are those of
// this machine, and go test adds that of Go, which is writable.
const podBin = "/run/bin"

func mountFluxPod(about fluxPod) error {
	host := "flux-sample-" + strconv.Itoa(about.Index)
	steps := []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("proc", "/proc", "proc", 0, "") },
		func() error { return unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") },
		// The shells of Flux read the files of their user, which on a machine of a developer take long.
		func() error { return unix.Mount("tmpfs", "/root", "tmpfs", 0, "mode=0700") },
		func() error { return unix.Sethostname([]byte(host)) },
	}
	if about.Alone {
		steps = append(steps, func() error { return exec.CommandContext(context.Background(), "ip", "link", "set", "lo", "up").Run() })
	}
	for _, dir := range []string{"/etc", "/home", "/var/lib", "/opt"} {
		upper, work := "/run/over"+dir+"/u", "/run/over"+dir+"/w"
		steps = append(steps,
			func() error { return os.MkdirAll(upper, 0o755) }, func() error { return os.MkdirAll(work, 0o755) },
			func() error {
				return unix.Mount("o", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work))
			})
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	modes := map[string]os.FileMode{podBin: 0o755, "/run/mnt/flux": 0o777, "/home/flux-operator": 0o777, plan.MarkerDir: 0o777 | os.ModeSticky, plan.ConfigDir: 0o755, plan.CertificateDir: 0o755}
	for _, mount := range plan.SystemMounts() {
		modes[mount.Path] = 0o777
	}
	for dir, mode := range modes {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return err
		}
	}
	for name, dir := range map[string]string{plan.FileBrokerTOML: plan.ConfigDir, plan.FileQuorum: plan.ConfigDir, plan.FilePlan: plan.ConfigDir, plan.FileCertificate: plan.CertificateDir} {
		text, err := os.ReadFile(filepath.Join(about.Dir, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o444); err != nil {
			return err
		}
	}
	if err := errors.Join(mountCredentials(about.Dir), mountMungeKey(about.Dir), mountSignatures(about.Dir)); err != nil {
		return err
	}
	return os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost flux-sample-0."+about.Domain+"\n"), 0o444)
}

// mountMungeKey copies the key of MUNGE, if there is one.
func mountMungeKey(dir string) error {
	key, err := os.ReadFile(filepath.Join(dir, "munge.key"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	file := filepath.Join(plan.MungeDir, "munge.key")
	return errors.Join(err, os.MkdirAll(plan.MungeDir, 0o755), os.RemoveAll(file), os.WriteFile(file, key, 0o444))
}

// fileSignatures is the configuration of signatures in the prefix of flux-security.
const fileSignatures = "etc/flux/security/conf.d/sign.toml"

// mountSignatures replaces the configuration of signatures in the image, if the cluster has one.
func mountSignatures(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "sign.toml"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	flux, lookErr := exec.LookPath("flux")
	return errors.Join(err, lookErr, os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(flux)), fileSignatures), text, 0o644))
}

// mountCredentials copies the certificates of the control endpoint, if there are any.
func mountCredentials(dir string) error {
	credentials, err := control.ReadServerCredentials(dir)
	if errors.Is(err, control.ErrNoCredentials) {
		return nil
	}
	for name, text := range credentials {
		err = errors.Join(err, os.WriteFile(filepath.Join(plan.CertificateDir, name), text, 0o444))
	}
	return err
}
