package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// signalCode is the exit code of the program in TestRandomSignalsRealFlux.
const signalCode = 42

// A lifePhase is a part of the life of a pod. A signal arrives at a random moment in it or, if the phase is short,
// soon after it.
type lifePhase string

const (
	phaseStart     lifePhase = "start"     // the program of the agent begins
	phasePreparing lifePhase = "preparing" // a hook runs, then flux commands
	phaseBroker    lifePhase = "broker"    // the broker has a socket
	phaseBusy      lifePhase = "busy"      // a job of the program runs
	phaseStopping  lifePhase = "stopping"  // after SIGTERM to a busy pod
	phaseEnding    lifePhase = "ending"    // the program has ended, and its broker ends
)

// length returns the time in which signals of the phase arrive.
func (p lifePhase) length() time.Duration {
	switch p {
	case phaseStart:
		return 30 * time.Millisecond
	case phasePreparing:
		return 600 * time.Millisecond
	default:
		return time.Second
	}
}

// A signalCase is one pod of TestRandomSignalsRealFlux, and its signal.
type signalCase struct {
	phase  lifePhase
	signal syscall.Signal
	// after is when the signal is sent, after the begin of the phase.
	after time.Duration
	// follower: the pod has a follower without a lead. Its later phases are those of its broker.
	follower bool
	// shared: the containers of the pod share a process namespace, whose first process is not the agent.
	shared bool
	// victim selects the process that gets SIGKILL: 0 the first process of the container, as from the kubelet, else any
	// one, as from the kernel without memory.
	victim int
}

func (c signalCase) String() string {
	return fmt.Sprintf("%v in phase %s after %v, follower %v, shared namespace %v, victim %d", c.signal, c.phase, c.after,
		c.follower, c.shared, c.victim)
}

// forwarded reports whether the signal belongs to the application.
func (c signalCase) forwarded() bool {
	return c.signal == syscall.SIGUSR1 || c.signal == syscall.SIGUSR2 || c.signal == syscall.SIGWINCH
}

func randomSignalCase(random *rand.Rand) signalCase {
	phases := []lifePhase{phaseStart, phaseStart, phasePreparing, phasePreparing, phaseBroker, phaseBroker, phaseBusy, phaseStopping, phaseEnding}
	signals := []syscall.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, 37, // SIGRTMIN+3
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGKILL,
	}
	c := signalCase{phase: phases[random.IntN(len(phases))], signal: signals[random.IntN(len(signals))]}
	c.follower = random.IntN(4) == 0 && c.phase != phaseBusy && c.phase != phaseEnding
	c.shared = random.IntN(4) == 0 && c.phase != phaseStart
	c.after = time.Duration(random.Int64N(int64(c.phase.length())))
	c.victim = random.IntN(6)
	return c
}

// TestRandomSignalsRealFlux is TestRandomSignals with brokers of the installed Flux, and with signals in each phase of
// the life of a pod. The exit code is that of the program only if the program has ended, and no other code makes the
// Job fail.
func TestRandomSignalsRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		program, err := imageProgram()
		require.NoError(t, err)
		seed := *randomSignalsSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Logf("MEASURED seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		var mu sync.Mutex
		results := map[string]int{}
		t.Run("pods", func(t *testing.T) {
			for n := range *randomSignals {
				c := randomSignalCase(random)
				if only := *randomSignalsOnly; only != "" && !slices.Contains(strings.Split(only, ","), strconv.Itoa(n)) {
					continue
				}
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					t.Parallel()
					code := c.run(t, program)
					mu.Lock()
					defer mu.Unlock()
					results[fmt.Sprintf("%s %d", c.phase, code)]++
				})
			}
		})
		for _, result := range slices.Sorted(maps.Keys(results)) {
			t.Logf("MEASURED %s: %d", result, results[result])
		}
	})
}

// program returns the program of the lead, which ends with signalCode. It runs a job if the signal arrives in that.
func (c signalCase) program() string {
	work := "sleep 0.5"
	if c.phase == phaseBusy || c.phase == phaseStopping {
		work = `flux run -n1 sh -c 'touch $SHARED/busy; sleep 1.5'`
	}
	return fmt.Sprintf("%s; touch $SHARED/done; exit %d", work, signalCode)
}

// run runs one pod and checks its end. It returns the exit code, -1 if the pod was killed.
func (c signalCase) run(t *testing.T, program string) int {
	t.Log(c)
	cluster := newFluxCluster(t, 1, 30)
	cluster.program, cluster.alone, cluster.shared = program, true, c.shared
	cluster.plan.Hooks = plan.Hooks{Pre: "touch $SHARED/preparing; sleep 0.05", Post: "sleep 0.01"}
	cluster.plan.Lead = plan.Program{Mode: plan.ModeLauncher, Tasks: 1, Command: c.program()}
	cluster.plan.Archive.Path = filepath.Join(cluster.dir, "archive.tar")
	index := 0
	cluster.plan.HTTPPort = 9560
	if c.follower {
		index = 1
		cluster.layout(2, 2, 30)
		cluster.plan.Hooks = plan.Hooks{Pre: "touch $SHARED/preparing; sleep 0.05"}
	}
	cluster.start(index)
	target := c.await(cluster, index)
	ended := cluster.outcome(index) != nil
	select {
	case <-cluster.ended[index]:
	case <-time.After(c.after):
	}
	victim := c.send(cluster, index, target)
	if c.follower && (c.forwarded() || c.signal == syscall.SIGKILL) {
		_ = syscall.Kill(target, syscall.SIGTERM) // a follower does not end by itself
	}
	zombies := watchZombies(target, cluster.ended[index])
	code := cluster.waitFor(index, 5*patience) // on a busy machine, the whole life of a pod takes minutes
	log := cluster.read(filepath.Base(cluster.log(index)))
	assert.Empty(t, zombies(), "processes that nobody reaps")
	if victim != target {
		assert.Empty(t, cluster.read("orphans"), "processes that remain")
	}
	assert.NotContains(t, log, "goroutine ")
	c.checkCode(t, cluster, code, ended, victim == target)
	t.Logf("exit code %d, killed process %d of %d", code, victim, target)
	return code
}

// await waits for the begin of the phase and returns the first process of the container.
func (c signalCase) await(cluster *fluxCluster, index int) int {
	target := 0
	cluster.eventually("the agent", func() bool { target = cluster.agent(index); return target != 0 })
	exists := func(file string) func() bool { return func() bool { return pod.Exists(file) } }
	wait := func(what string, condition func() bool) {
		reached := func() bool {
			select {
			case <-cluster.ended[index]:
				return true
			default:
				return condition()
			}
		}
		require.Eventually(cluster.t, reached, 5*patience, 10*time.Millisecond, what)
	}
	file := func(name string) string { return filepath.Join(cluster.dir, name) }
	switch c.phase {
	case phasePreparing:
		wait("the hook", exists(file("preparing")))
	case phaseBroker:
		wait("the broker", func() bool { return cluster.socket(target) })
	case phaseBusy:
		wait("the job", exists(file("busy")))
	case phaseStopping:
		if c.follower {
			wait("the broker", func() bool { return cluster.socket(target) })
		} else {
			wait("the job", exists(file("busy")))
		}
		_ = syscall.Kill(target, syscall.SIGTERM)
	case phaseEnding:
		wait("the end of the program", func() bool { return cluster.outcome(index) != nil })
	}
	return target
}

// send sends the signal and returns the process that got it.
func (c signalCase) send(cluster *fluxCluster, index, target int) int {
	victim := target
	if all := append([]int{target}, descendants(target)...); c.signal == syscall.SIGKILL && c.victim > 0 {
		victim = all[c.victim*len(all)/6]
	}
	select {
	case <-cluster.ended[index]: // another process may have the ID
	default:
		_ = syscall.Kill(victim, c.signal)
	}
	return victim
}

// checkCode checks the exit code of a pod. ended: its program had ended before the signal. killed: SIGKILL was sent to
// the first process.
func (c signalCase) checkCode(t *testing.T, cluster *fluxCluster, code int, ended, killed bool) {
	t.Helper()
	finished := pod.Exists(filepath.Join(cluster.dir, "done"))
	switch {
	case c.signal == syscall.SIGKILL && killed && (code == -1 || code == 137):
	case code == signalCode:
		assert.True(t, finished && !c.follower, "the code of a program that has not ended")
	case c.signal == syscall.SIGKILL:
		// The kernel may kill any process: the agent, a flux command, the program.
		assert.Contains(t, []int{137, plan.ExitStopped, plan.ExitPrepare, plan.ExitBroker}, code)
	default:
		assert.Contains(t, []int{plan.ExitStopped, plan.ExitPrepare, plan.ExitBroker}, code)
		assert.False(t, ended, "the code of a program that has ended is lost")
	}
	stops := c.phase == phaseStopping || !c.forwarded() && c.signal != syscall.SIGKILL
	if stops && !finished && c.signal != syscall.SIGKILL {
		assert.Equal(t, plan.ExitStopped, code)
	}
	if !stops && !c.follower && c.signal != syscall.SIGKILL {
		assert.Equal(t, signalCode, code, "signals of the application do not end it")
	}
}

// descendants returns the children of a process, their children, and so on.
func descendants(root int) []int {
	var all []int
	for _, pid := range childrenOf(root) {
		all = append(append(all, pid), descendants(pid)...)
	}
	return all
}

// agent returns the first process of the container of a pod, 0 until it is the agent and hears signals. It has a child
// then. Earlier signals are discarded by the kernel, because the first process of a namespace does not block them yet.
func (c *fluxCluster) agent(index int) int {
	first := []int{c.pods[index].Process.Pid}
	if c.shared {
		first = childrenOf(first[0])
	}
	for _, pid := range first {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe == c.program && (c.shared || len(childrenOf(pid)) > 0) {
			return pid
		}
	}
	return 0
}

// socket reports whether the broker of an agent has a socket.
func (c *fluxCluster) socket(agent int) bool {
	return pod.Exists(filepath.Join(fmt.Sprintf("/proc/%d/root", agent), c.plan.Files.Socket))
}

// outcome returns the outcome of the program of a pod, nil while there is none.
func (c *fluxCluster) outcome(index int) *pod.Outcome {
	root := fmt.Sprintf("/proc/%d/root", c.pods[index].Process.Pid)
	return pod.ReadOutcome(filepath.Join(root, c.plan.Files.RunDir, "minicluster", "program.json"), 0)
}

// becomePause starts the agent as a child, as in a pod whose containers share their processes, and ends as the agent
// does. It writes the names of processes that remain then.
func becomePause(about fluxPod, environ []string) error {
	cmd := exec.CommandContext(context.Background(), about.Program, about.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	var orphans []string
	for _, pid := range childrenOf(os.Getpid()) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if len(stat) > 0 && !strings.Contains(string(stat), ") Z ") {
			orphans = append(orphans, strings.ReplaceAll(string(line), "\x00", " ")+string(stat))
		}
	}
	if len(orphans) > 0 {
		err = os.WriteFile(filepath.Join(about.Dir, "orphans"), []byte(strings.Join(orphans, "\n")), 0o644)
	}
	code := cmd.ProcessState.ExitCode()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	if err == nil || exit != nil {
		os.Exit(code)
	}
	return err
}
