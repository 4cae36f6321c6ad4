package agent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// randomSignals is the number of pods of TestRandomSignals and TestRandomSignalsRealFlux.
var randomSignals = flag.Int("random-signals", 16, "number of pods that get a signal at a random moment")

// randomSignalsSeed repeats a run of TestRandomSignalsRealFlux.
var randomSignalsSeed = flag.Uint64("random-signals-seed", 0, "seed of the random signals; 0: a random one")

// randomSignalsOnly selects pods of TestRandomSignalsRealFlux.
var randomSignalsOnly = flag.String("random-signals-only", "", "numbers of the pods that run, separated by commas; empty: all")

// envFirst makes the test binary the first process of new namespaces, before it becomes this program: the agent.
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
	program := os.Getenv(envFirst)
	return syscall.Exec(program, append([]string{program}, os.Args[1:]...), environ)
}

// imageProgram builds the agent like that of the image, which the linker gives another entry.
var imageProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "minicluster-agent-")
	if err != nil {
		return "", err
	}
	removeAtEnd = dir
	program := filepath.Join(dir, "minicluster-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-E="+shutdown.EntrySymbol, "-o", program, "../../cmd/minicluster-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent: %w\n%s", err, output)
	}
	return program, nil
})

// removeAtEnd is the directory of imageProgram.
var removeAtEnd string

// asFirst makes the agent the first process of new namespaces, with the program of the image.
func (p *testPod) asFirst() {
	p.t.Helper()
	program, err := imageProgram()
	require.NoError(p.t, err)
	p.env = append(p.env, envFirst+"="+program)
	p.sys = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
}

// TestExitCodeOfTheRuntime: the Go runtime ends with exit code 2, which is that of an application that is used wrongly.
func TestExitCodeOfTheRuntime(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	t.Run("fatal", func(t *testing.T) {
		t.Parallel()
		p := newPod(t)
		p.asFirst()
		p.start("run")
		p.eventually("the broker runs", func() bool { return p.brokers() > 0 })
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGABRT)) // like a panic of a goroutine
		assert.Equal(t, plan.ExitBroker, p.wait())
		assert.Contains(t, p.stderr.String(), "SIGABRT", "the runtime says why")
	})
	t.Run("of the application", func(t *testing.T) {
		t.Parallel()
		p := newPod(t)
		p.asFirst()
		p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "exit 2"
		assert.Equal(t, 2, p.run("run"))
	})
	t.Run("agent is killed", func(t *testing.T) {
		t.Parallel()
		p := newPod(t)
		p.asFirst()
		p.start("run")
		p.eventually("the broker runs", func() bool { return p.brokers() > 0 })
		for _, child := range childrenOf(p.cmd.Process.Pid) {
			require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
		}
		assert.Equal(t, 137, p.wait())
	})
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
	p.asFirst()
	p.start("run")
	// The agent runs once the environment of the process has changed.
	p.eventually("the agent", func() bool {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.cmd.Process.Pid))
		return err != nil || (len(environ) > 0 && !strings.Contains(string(environ), envFirst+"="))
	})
	<-time.After(after)
	_ = p.cmd.Process.Signal(sig) // the agent may have ended
	forwarded := sig == syscall.SIGUSR1 || sig == syscall.SIGUSR2 || sig == syscall.SIGWINCH
	if forwarded && !lead {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	zombies := watchZombies(p.cmd.Process.Pid, p.ended)
	code := p.wait()
	assert.Empty(t, zombies(), "processes that nobody reaps")
	assert.Empty(t, p.processes(), "processes remain")
	return code
}

// zombiePatience is how long an ended process may stay a zombie, on a busy machine.
const zombiePatience = 10 * time.Second

// watchZombies watches for ended children of an agent and of the agents below it that are not reaped, until the first
// one has ended. The returned function returns them. A broker has to reap its children, which takes it long on a busy
// machine.
func watchZombies(root int, ended <-chan struct{}) func() []string {
	program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", root)) // it may have ended
	var found []string
	var wg sync.WaitGroup
	wg.Go(func() {
		since := map[int]time.Time{}
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			for _, pid := range zombiesBelow(root, program) {
				if since[pid].IsZero() {
					since[pid] = time.Now()
				}
				if time.Since(since[pid]) > zombiePatience {
					stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // its name, its parent, and more
					found = append(found, string(stat))
				}
			}
		}
	})
	return func() []string {
		wg.Wait()
		return found
	}
}

// childrenOf returns the children of all threads of a process.
func childrenOf(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var children []int
	for _, file := range files {
		text, _ := os.ReadFile(file) // the process may have ended
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// zombiesBelow returns the ended children of a process and of its descendants that run a program. While other threads
// of an ended process wait for a busy disk, it cannot be reaped and is not returned.
func zombiesBelow(root int, program string) []int {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", root))
	reaps := err == nil && exe == program
	var zombies []int
	for _, pid := range childrenOf(root) {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); reaps && err == nil && strings.Contains(string(stat), ") Z ") {
			if threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)); err == nil && len(threads) <= 1 {
				zombies = append(zombies, pid)
			}
		}
		zombies = append(zombies, zombiesBelow(pid, program)...)
	}
	return zombies
}

// TestFullVolume checks that the end of the program is recorded although the volume is full.
func TestFullVolume(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	p := newPod(t)
	require.NoError(t, os.MkdirAll(p.path("run"), 0o755))
	p.asFirst()
	p.env = append(p.env, envSmall+"="+p.path("run"))
	p.plan.Lead.Mode = plan.ModeLauncher
	p.plan.Lead.Command = "! dd if=/dev/zero of=$FAKE_ROOT/run/fill bs=4k 2>$FAKE_ROOT/dd || exit 4; exit 3"
	assert.Equal(t, 3, p.run("run"))
	assert.Contains(t, p.read("dd"), "No space left on device")
	assert.NotContains(t, p.stderr.String(), "Failed to record")
}
