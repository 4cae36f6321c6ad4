package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// envMain makes the test binary run as the agent.
const envMain = "AGENT_TEST_MAIN"

// quickExit spares each agent a second at its end, during which the race detector waits for reports of other threads.
const quickExit = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	if text := os.Getenv(envFluxPod); text != "" {
		fmt.Fprintln(os.Stderr, enterFluxPod(text)) // returns only after an error
		os.Exit(1)
	}
	if os.Getenv(envFirst) != "" {
		fmt.Fprintln(os.Stderr, becomeFirst()) // returns only after an error
		os.Exit(1)
	}
	if os.Getenv(envMain) != "" {
		os.Exit(Run(os.Args))
	}
	code := m.Run()
	if removeAtEnd != "" {
		os.RemoveAll(removeAtEnd)
	}
	if removeStandIn != "" {
		os.RemoveAll(removeStandIn)
	}
	os.Exit(code)
}

// patience is the timeout of conditions that must become true, also on a busy machine.
const patience = 2 * time.Minute

// fileTermination is the file that Kubernetes reads the termination message from.
const fileTermination = "dev/termination-log"

// testPod is a directory that stands for the file system of a pod. The agent runs in it with a script instead of
// flux.
type testPod struct {
	t    *testing.T
	root string
	plan *plan.Plan
	env  []string
	// prefix are words before the command line of the agent.
	prefix []string
	// sys has the namespaces of the agent.
	sys *syscall.SysProcAttr
	// stdin is the standard input of the agent; nil: there is none.
	stdin *os.File

	cmd            *exec.Cmd
	ended          chan struct{} // closed when the agent has ended
	stdout, stderr *output
}

// output is a log that can be read while it is being written.
type output struct{ file string }

func (o *output) String() string {
	text, _ := os.ReadFile(o.file)
	return string(text)
}

// newAgent returns an agent in a directory that replaces /.
func newAgent(root string) *agent {
	return &agent{Pod: &pod.Pod{Root: root, Program: os.Args[0], Plan: &plan.Plan{}}, shutdown: shutdown.Never(time.Minute)}
}

func newPod(t *testing.T) *testPod {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	bin := filepath.Join(root, "bin")
	for _, dir := range []string{bin, filepath.Join(root, "jobs"), filepath.Join(root, "dev")} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	script, err := os.ReadFile("testdata/flux")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "flux"), script, 0o755))
	p := &testPod{t: t, root: root, plan: &plan.Plan{
		Name: "flux-sample", Namespace: "default", Domain: "flux-service.default.svc.cluster.local",
		Hosts: "flux-sample-[0-3]", HostCount: 4, Size: 2, System: true, InstallRoot: "/usr",
		GracePeriodSeconds: 8, Broker: plan.Broker{LogLevel: 6},
		Files: plan.Files{
			ConfigDir: "/etc/flux/config", BrokerTOML: "/etc/flux/config/broker.toml", CurveCert: "/etc/curve/curve.cert",
			R: "/etc/flux/system/R", Hostlist: "/etc/flux/system/hostlist", CronDir: "/etc/flux/system/cron.d",
			RunDir: "/run/flux", StateDir: "/var/lib/flux", Socket: "/run/flux/local", SocketURI: "local:///run/flux/local",
		},
		Lead: plan.Program{Mode: plan.ModeNone, Tasks: 1, Logs: filepath.Join(root, "logs")},
	}}
	p.env = append(os.Environ(), envMain+"=1", quickExit, "JOB_COMPLETION_INDEX=0", "FAKE_LOG="+p.path("flux.log"), "FAKE_JOBS="+p.path("jobs"), "FAKE_ROOT="+root,
		"PATH="+bin+":"+os.Getenv("PATH"))
	p.write(plan.ConfigDir+"/"+plan.FileQuorum, "2\n")
	p.write(plan.ConfigDir+"/"+plan.FileBrokerTOML, "")
	p.write(plan.CertificateDir+"/"+plan.FileCertificate, "curve\n")
	p.write(fileTermination, "")
	p.write("etc/hostname", "flux-sample-0\n")
	require.NoError(t, newAgent(root).install())
	return p
}

func (p *testPod) path(elem ...string) string {
	return filepath.Join(append([]string{p.root}, elem...)...)
}

func (p *testPod) write(name, text string) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	require.NoError(p.t, os.WriteFile(p.path(name), []byte(text), 0o644))
}

func (p *testPod) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(p.path(name))
	require.NoError(p.t, err)
	return string(text)
}

// follower makes it the pod of index 1.
func (p *testPod) follower() {
	p.env = append(p.env, "JOB_COMPLETION_INDEX=1")
	p.write("etc/hostname", "flux-sample-1\n")
}

// start starts the agent with a subcommand.
func (p *testPod) start(args ...string) {
	p.t.Helper()
	text, err := json.Marshal(p.plan)
	require.NoError(p.t, err)
	p.write(plan.ConfigDir+"/"+plan.FilePlan, string(text))
	words := append(append(p.prefix, os.Args[0], args[0], "--root", p.root), args[1:]...)
	p.cmd = exec.CommandContext(p.t.Context(), words[0], words[1:]...)
	p.cmd.Env, p.cmd.SysProcAttr = p.env, p.sys
	p.stdout, p.stderr = p.output("stdout"), p.output("stderr")
	out, err := os.Create(p.stdout.file)
	require.NoError(p.t, err)
	errOut, err := os.Create(p.stderr.file)
	require.NoError(p.t, err)
	p.cmd.Stdout, p.cmd.Stderr = out, errOut
	if p.stdin != nil {
		p.cmd.Stdin = p.stdin
	}
	require.NoError(p.t, p.cmd.Start())
	_, _ = out.Close(), errOut.Close()
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // wait reads the exit code
	}()
	p.t.Cleanup(func() {
		p.killAll()
		if p.t.Failed() {
			p.t.Logf("stdout:\n%s\nstderr:\n%s\nflux:\n%s", p.stdout, p.stderr, p.fluxLog())
		}
	})
}

// killAll kills the remaining processes of this pod, as the end of a container does.
func (p *testPod) killAll() {
	for range 10 {
		found := p.processes()
		for _, pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(found) == 0 {
			return
		}
	}
}

// processes returns the processes of this pod.
func (p *testPod) processes() []int {
	own := []byte("FAKE_LOG=" + p.path("flux.log") + "\x00")
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(p.t, err)
	var found []int
	for _, dir := range dirs {
		environ, _ := os.ReadFile(dir + "/environ") // no environment: a process of another user, or one that has ended
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && bytes.Contains(environ, own) {
			found = append(found, pid)
		}
	}
	return found
}

func (p *testPod) output(name string) *output { return &output{file: p.path(name)} }

// wait returns the exit code of the agent.
func (p *testPod) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		require.Fail(p.t, "the agent does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// terminate asks the agent to stop and returns its exit code.
func (p *testPod) terminate() int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	return p.wait()
}

func (p *testPod) run(args ...string) int {
	p.t.Helper()
	p.start(args...)
	return p.wait()
}

// fluxLog returns the flux commands that were run.
func (p *testPod) fluxLog() string {
	text, _ := os.ReadFile(p.path("flux.log"))
	return string(text)
}

// brokers returns how many times a broker was started.
func (p *testPod) brokers() int {
	return strings.Count("\n"+p.fluxLog(), "\nbroker ")
}

// eventually waits for a condition while the agent runs.
func (p *testPod) eventually(what string, condition func() bool) {
	p.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for timeout := time.After(patience); !condition(); {
		select {
		case <-ticker.C:
		case <-p.ended:
			require.True(p.t, condition(), "the agent ended before: %s", what)
		case <-timeout:
			require.Fail(p.t, what)
		}
	}
}

// jobs returns the active jobs of the stand-in for Flux.
func (p *testPod) jobs() []string {
	p.t.Helper()
	entries, err := os.ReadDir(p.path("jobs"))
	require.NoError(p.t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func lines(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func TestInstall(t *testing.T) {
	p := newPod(t)
	program, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	installed, err := os.ReadFile(p.path(plan.AgentPath))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(program, installed))
	for dir, mode := range map[string]os.FileMode{
		plan.SharedDir + "/bin":        0o755 | os.ModeDir,
		plan.MarkerDir:                 0o777 | os.ModeDir | os.ModeSticky,
		plan.SharedDir + "/system/run": 0o777 | os.ModeDir,
	} {
		info, err := os.Stat(p.path(dir))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), dir)
	}
	// A second run, in a pod whose init containers run again.
	require.NoError(t, newAgent(p.root).install())
}
