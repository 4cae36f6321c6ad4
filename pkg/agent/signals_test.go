package agent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// randomSignals is the number of pods of TestRandomSignals.
var randomSignals = flag.Int("random-signals", 16, "number of pods that get a signal at a random moment")

// envFirst makes the test binary the first process of new namespaces, before it becomes the agent.
const envFirst = "AGENT_TEST_FIRST"

// envSmall is a directory to mount a small file system on.
const envSmall = "AGENT_TEST_SMALL"

// becomeFirst mounts /proc and becomes the agent. It returns only after an error.
func becomeFirst() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if dir := os.Getenv(envSmall); dir != "" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=0777"); err != nil {
			return err
		}
	}
	environ := []string{}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, envFirst) {
			environ = append(environ, entry)
		}
	}
	return syscall.Exec(os.Args[0], os.Args, environ)
}

// TestRandomSignals sends one signal to the first process of a pod at a random moment of its life. The exit code must
// be that of the application only if the application ended, and no process may remain.
func TestRandomSignals(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	signals := []syscall.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, 37, // SIGRTMIN+3
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGKILL,
	}
	const code = 42
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	codes := map[int]int{}
	t.Cleanup(func() { t.Logf("exit codes: %v", codes) })
	for n := range *randomSignals {
		sig := signals[random.IntN(len(signals))]
		after := time.Duration(random.Int64N(int64(600 * time.Millisecond)))
		lead := random.IntN(4) > 0
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			p.plan.Hooks = plan.Hooks{Pre: "sh -c 'sleep 0.05'", Post: "sleep 0.01"}
			p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, fmt.Sprintf("sh -c 'sh -c \"sleep 0.2\"'; exit %d", code)
			if !lead {
				p.follower()
			}
			got := p.signalAt(sig, after, lead)
			mu.Lock()
			codes[got]++
			mu.Unlock()
			switch {
			case sig == syscall.SIGKILL && got == -1: // killed as by the kubelet
			case got == code && lead: // the program ended by itself
			default:
				assert.Contains(t, []int{plan.ExitStopped, plan.ExitPrepare, plan.ExitBroker, plan.ExitHook}, got,
					"%v after %v, lead %v: %s", sig, after, lead, p.stderr)
			}
			assert.NotContains(t, p.stderr.String(), "goroutine ")
		})
	}
}

// signalAt runs the agent as the first process of namespaces, signals it, and returns its exit code, -1 for a signal. A
// follower that only gets a signal of the application is stopped afterwards.
func (p *testPod) signalAt(sig syscall.Signal, after time.Duration, lead bool) int {
	t := p.t
	t.Helper()
	p.env = append(p.env, envFirst+"=1")
	p.sys = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	p.start("run")
	// The agent runs once the environment of the process has changed.
	p.eventually("the agent", func() bool {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.cmd.Process.Pid))
		return err != nil || (len(environ) > 0 && !strings.Contains(string(environ), envFirst+"="))
	})
	p.awaitHandlers()
	<-time.After(after)
	_ = p.cmd.Process.Signal(sig) // the agent may have ended
	forwarded := sig == syscall.SIGUSR1 || sig == syscall.SIGUSR2 || sig == syscall.SIGWINCH
	if forwarded && !lead {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	code := p.wait()
	require.NotEqual(t, 2, code, "the runtime ended the agent")
	return code
}

// awaitHandlers waits until the program has its signal handlers: before that, a signal ends a Go program that is the
// first process of a container with exit code 2. That takes about a millisecond.
func (p *testPod) awaitHandlers() {
	p.eventually("handlers", func() bool { return pod.Exists(p.path(plan.MarkerDir, "flux-container")) })
}

// TestFullVolume checks that the end of the program is recorded although the volume is full.
func TestFullVolume(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	p := newPod(t)
	require.NoError(t, os.MkdirAll(p.path("run"), 0o755))
	p.env = append(p.env, envFirst+"=1", envSmall+"="+p.path("run"))
	p.sys = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	p.plan.Lead.Mode = plan.ModeLauncher
	p.plan.Lead.Command = "! dd if=/dev/zero of=$FAKE_ROOT/run/fill bs=4k 2>$FAKE_ROOT/dd || exit 4; exit 3"
	assert.Equal(t, 3, p.run("run"))
	assert.Contains(t, p.read("dd"), "No space left on device")
	assert.NotContains(t, p.stderr.String(), "Failed to record")
}
