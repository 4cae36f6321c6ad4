package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/test/framework/cluster/process"
)

func TestLeadProgramDecidesTheExitCode(t *testing.T) {
	for _, test := range []struct {
		name    string
		mode    plan.Mode
		command string
		code    int
		stdout  string
	}{
		{"launcher", plan.ModeLauncher, "echo 'a  b'", 0, "a  b\n"},
		{"launcher fails", plan.ModeLauncher, "exit 7", 7, ""},
		{"launcher is killed", plan.ModeLauncher, "kill -9 $$", 137, ""},
		{"launcher is missing", plan.ModeLauncher, "no-such-program", 127, ""},
		{"launcher in a shell", plan.ModeLauncher, "false || echo $((1 + 1))", 0, "2\n"},
		{"submit", plan.ModeSubmit, `printf %s\n "x  y"`, 0, "x  yn"},
		{"submit per task", plan.ModeSubmit, "echo task $FLUX_TASK_RANK", 0, "task 0\n"},
		{"submit fails", plan.ModeSubmit, "sh -c 'exit 3'", 3, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			p.plan.Lead.Mode, p.plan.Lead.Command, p.plan.Logging.Quiet = test.mode, test.command, true
			assert.Equal(t, test.code, p.run("run"))
			assert.Equal(t, test.stdout, p.stdout.String())
			assert.Equal(t, 1, p.brokers())
			assert.FileExists(t, p.path(plan.MarkerDir, pod.FileFinished))
		})
	}
}

func TestQuietSaysNothing(t *testing.T) {
	p := newPod(t)
	p.plan.Logging.Quiet = true
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "printf 'no newline'"
	p.plan.Hooks = plan.Hooks{Init: "echo init", PreCommand: "echo preCommand >&2", Pre: "echo pre; false", BrokerPre: "echo brokerPre", Post: "echo post"}
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, "no newlinepost\n", p.stdout.String())
	assert.Empty(t, p.stderr.String())
}

func TestOrderOfHooks(t *testing.T) {
	hooks := plan.Hooks{
		Init: "echo init", PreCommand: "echo preCommand", Pre: "echo pre", BrokerPre: "echo brokerPre", WorkerPre: "echo workerPre", Post: "echo post",
	}
	t.Run("lead", func(t *testing.T) {
		p := newPod(t)
		p.plan.Lead.Mode, p.plan.Lead.Command, p.plan.Hooks = plan.ModeLauncher, "echo command", hooks
		assert.Equal(t, 0, p.run("run"))
		assert.Equal(t, []string{"init", "preCommand", "pre", "brokerPre", "command", "post"}, lines(p.stdout.String()))
	})
	t.Run("follower", func(t *testing.T) {
		p := newPod(t)
		p.plan.Hooks = hooks
		p.follower()
		p.start("run")
		p.eventually("a broker", func() bool { return p.brokers() == 1 })
		assert.Equal(t, plan.ExitStopped, p.terminate())
		assert.Equal(t, []string{"init", "preCommand", "pre", "workerPre", "post"}, lines(p.stdout.String()))
	})
}

// TestHooksAsOneScript changes the umask and a limit of this process, as a hook does for the agent.
func TestHooksAsOneScript(t *testing.T) {
	if !strings.HasSuffix(shellsplit.ScriptShell(), "bash") {
		t.Skip("there is no bash: variables that are not exported end with the hook")
	}
	mask := syscall.Umask(0o022)
	defer syscall.Umask(mask)
	var stack syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_STACK, &stack))
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_STACK, &stack) }()
	p := newPod(t)
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "umask; ulimit -S -s"
	p.plan.Hooks = plan.Hooks{
		Init: "version=7\numask 007",
		Pre:  "ulimit -S -s 5120\nbegin=1\nlog() { echo \"$1 $version $begin\"; }", BrokerPre: "log broker; umask", Post: "log post",
	}
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, []string{"broker 7 1", "0007", "0007", "5120", "post 7 1"}, lines(p.stdout.String()))
}

func TestStrictHooks(t *testing.T) {
	for _, test := range []struct {
		name   string
		hooks  plan.Hooks
		strict bool
		index  string
		code   int
		starts int
	}{
		{"not strict", plan.Hooks{Pre: "exit 5"}, false, "0", 0, 1},
		{"lead", plan.Hooks{Pre: "exit 5"}, true, "0", 5, 0},
		{"a command before the last", plan.Hooks{BrokerPre: "false\ntrue"}, true, "0", 1, 0},
		{"init comes before strict", plan.Hooks{Init: "exit 5"}, true, "0", 0, 1},
		{"post comes after the work", plan.Hooks{Post: "exit 5"}, true, "0", 0, 1},
		{"follower", plan.Hooks{WorkerPre: "exit 5"}, true, "1", plan.ExitHook, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "true"
			p.plan.Hooks, p.plan.Logging.Strict = test.hooks, test.strict
			if test.index == "1" {
				p.follower()
			}
			assert.Equal(t, test.code, p.run("run"))
			assert.Equal(t, test.starts, p.brokers())
			if test.starts == 0 {
				assert.Contains(t, p.read(fileTermination), "hook")
			}
		})
	}
}

func TestStopFollower(t *testing.T) {
	const grace = 300 * time.Second // for a busy machine
	p := newPod(t)
	p.plan.GracePeriodSeconds = int64(grace / time.Second)
	p.follower()
	p.start("run")
	p.eventually("a broker", func() bool { return p.brokers() == 1 })
	begin := time.Now()
	assert.Equal(t, plan.ExitStopped, p.terminate())
	assert.Less(t, time.Since(begin), grace/5, "it does not wait")
	assert.NotContains(t, p.fluxLog(), "quorum", "followers have no program")
}

func TestStopLead(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		code    int
	}{
		"program ends at SIGTERM":        {"touch $FAKE_ROOT/started; sleep 1000", 143},
		"program ends well when stopped": {"trap 'exit 0' TERM; touch $FAKE_ROOT/started; sleep 1000 & wait", 0},
		"program ignores SIGTERM":        {"trap '' TERM; touch $FAKE_ROOT/started; while :; do sleep 1; done", 137},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, test.command
			p.plan.Hooks.Post = "echo post"
			const grace = 30 * time.Second // a third of it elapses
			p.plan.GracePeriodSeconds = int64(grace / time.Second)
			p.start("run")
			p.eventually("a program", func() bool { return pod.Exists(p.path("started")) })
			begin := time.Now()
			assert.Equal(t, plan.ExitStopped, p.terminate())
			assert.Less(t, time.Since(begin), grace, "the grace period")
			assert.Equal(t, "post\n", p.stdout.String())
			assert.Equal(t, fmt.Sprintf("SIGTERM stopped the pod before the program had ended; the program then ended with exit code %d\n", test.code),
				p.read(fileTermination))
			assert.Contains(t, p.stderr.String(), `"The pod was asked to stop" signal="SIGTERM" gracePeriod="30s" reserve="6s"`)
		})
	}
}

// running reports whether the initial program runs.
func (p *testPod) running() bool {
	_, err := os.Stat(p.path("var/lib/flux", "minicluster.json"))
	return err == nil
}

func TestInteractive(t *testing.T) {
	p := newPod(t)
	p.start("run")
	p.eventually("a broker", func() bool { return p.brokers() == 1 })
	assert.Contains(t, p.fluxLog(), "-Sbroker.rc2_none")
	assert.Contains(t, p.fluxLog(), "-Sbroker.quorum=2")
	assert.Equal(t, plan.ExitStopped, p.terminate())
}

func TestFollowerOutlivesItsBroker(t *testing.T) {
	for name, code := range map[string]string{"ends with 0": "0", "fails": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			p.follower()
			p.env = append(p.env, "FAKE_BROKER="+p.path("broker.sh"))
			p.write("broker.sh", "[ $(grep -c ^broker $FAKE_LOG) -gt 2 ] || exit "+code)
			p.start("run")
			p.eventually("a third broker", func() bool { return p.brokers() == 3 })
			assert.Equal(t, plan.ExitStopped, p.terminate())
		})
	}
}

// TestVersionMismatchIsNamed: a follower whose Flux differs from that of the lead reports both versions, and what to
// do.
func TestVersionMismatchIsNamed(t *testing.T) {
	t.Parallel()
	port, err := process.FreePort(t.Context())
	require.NoError(t, err)
	p := newPod(t)
	p.follower()
	p.plan.HTTPPort = int32(port)
	p.env = append(p.env, "FAKE_BROKER="+p.path("broker.sh"))
	p.write("broker.sh", "echo 'broker.err[1]: overlay.hello: client (0.88.0) version mismatched with server (0.87.0)' >&2; exit 1")
	p.start("run")
	var cause plan.Cause
	p.eventually("the broker has ended", func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, plan.PathCause), http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false // not yet
		}
		defer response.Body.Close()
		return json.NewDecoder(response.Body).Decode(&cause) == nil && strings.Contains(cause.Message, "mismatched")
	})
	assert.Equal(t, plan.CauseBroker, cause.Kind)
	assert.Contains(t, cause.Message, "client (0.88.0) version mismatched with server (0.87.0) (Flux 0.88.0)")
	assert.Contains(t, cause.Message, "recreate the MiniCluster")
	assert.Equal(t, plan.ExitStopped, p.terminate())
}

func TestCompleteWorkers(t *testing.T) {
	p := newPod(t)
	p.plan.CompleteWorkers = true
	p.follower()
	p.env = append(p.env, "FAKE_BROKER="+p.path("broker.sh"))
	p.write("broker.sh", "exit 1")
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, 1, p.brokers())
}

func TestLeadBrokerIsStartedAgain(t *testing.T) {
	p := newPod(t)
	p.plan.Lead.Mode = plan.ModeLauncher
	// Each run submits a job; the broker of the first run is killed while its program runs.
	p.plan.Lead.Command = "touch $FAKE_JOBS/job$(grep -c ^broker $FAKE_LOG); [ $(grep -c ^broker $FAKE_LOG) -gt 1 ] || { kill -9 $(ps -o ppid= $PPID); sleep 1000; }"
	p.write("jobs/other", "")
	p.write("var/lib/flux/content.sqlite", "")
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, 2, p.brokers())
	assert.Equal(t, []string{"job2", "other"}, p.jobs(), "only the job of the first run is canceled")

	// Another pod with the same state.
	p.plan.Lead.Command = "touch $FAKE_JOBS/job3"
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, []string{"job3", "other"}, p.jobs())

	// Another MiniCluster with the same state.
	p.write(plan.CertificateDir+"/"+plan.FileCertificate, "another\n")
	p.plan.Lead.Command = "touch $FAKE_JOBS/job4"
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, []string{"job3", "job4", "other"}, p.jobs())
}

func TestLeadGivesUp(t *testing.T) {
	p := newPod(t)
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "true"
	p.env = append(p.env, "FAKE_BROKER="+p.path("broker.sh"))
	p.write("broker.sh", "exit 1")
	assert.Equal(t, plan.ExitBroker, p.run("run"))
	assert.Equal(t, 5, p.brokers())
	assert.Contains(t, p.read(fileTermination), "5 times in a row")
}

func TestNotPrepared(t *testing.T) {
	for name, spoil := range map[string]func(p *testPod){
		"no certificate": func(p *testPod) { require.NoError(t, os.Remove(p.path(plan.CertificateDir, plan.FileCertificate))) },
		"no index":       func(p *testPod) { p.env = append(p.env, "JOB_COMPLETION_INDEX=x") },
		"no markers":     func(p *testPod) { require.NoError(t, os.RemoveAll(p.path(plan.MarkerDir))) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			spoil(p)
			assert.Equal(t, plan.ExitPrepare, p.run("run"))
			assert.NotEmpty(t, p.read(fileTermination))
			assert.Zero(t, p.brokers())
		})
	}
}

func TestRunAsFirstProcess(t *testing.T) {
	namespace := []string{"unshare", "--pid", "--fork", "--mount-proc"}
	if exec.CommandContext(t.Context(), namespace[0], append(namespace[1:], "true")...).Run() != nil {
		t.Skip("no right to make a PID namespace")
	}
	p := newPod(t)
	p.prefix = namespace
	p.plan.Lead.Mode = plan.ModeLauncher
	// Orphans that end while the program runs, and one that outlives it.
	p.plan.Lead.Command = "for i in 1 2 3; do sh -c 'sleep 0.1 &'; done; sh -c 'sleep 1000 &'; sleep 1; exit 9"
	// A process that ends right now is a zombie for a moment.
	p.plan.Hooks.Post = "for i in $(seq 100); do n=$(ps -e -o stat= | grep -c Z); [ $n -gt 0 ] || break; sleep 0.1; done; echo $n"
	assert.Equal(t, 9, p.run("run"))
	assert.Equal(t, "0\n", p.stdout.String(), "zombies")
}

// TestShutdownFromInside checks that a user who stops the instance ends the cluster, which does not restart.
func TestShutdownFromInside(t *testing.T) {
	for command, code := range map[string]int{
		"kill -TERM $(ps -o ppid= $PPID); sleep 1000":                                      0,
		"trap 'exit 0' TERM; kill -TERM $(ps -o ppid= $PPID); while :; do sleep 0.1; done": 0,
		"trap 'exit 5' TERM; kill -TERM $(ps -o ppid= $PPID); while :; do sleep 0.1; done": 5,
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, command
			assert.Equal(t, code, p.run("run"))
			assert.Equal(t, 1, p.brokers())
		})
	}
}

// TestModuleFailure checks that a broker that stops its program because a module failed, as after flux shutdown, is
// restarted with the program: the work has not ended.
func TestModuleFailure(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.Lead.Mode = plan.ModeLauncher
	p.plan.Lead.Command = "[ $(grep -c ^broker $FAKE_LOG) = 1 ] || exit 7; broker=$(($(ps -o ppid= $PPID))); " +
		"echo '<2>broker.crit[0]: sched-simple module runtime failure' >/proc/$broker/fd/2; kill -TERM $broker; sleep 1000"
	assert.Equal(t, 7, p.run("run"))
	assert.Equal(t, 2, p.brokers())
}

// TestOutcomeCannotBeForged checks that the file that earlier versions read has no effect when another user of the
// pod writes it.
func TestOutcomeCannotBeForged(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "sleep 1; exit 3"
	p.write(plan.MarkerDir+"/program.json", `{"code":0}`)
	assert.Equal(t, 3, p.run("run"))
	info, err := os.Stat(p.path("run/flux/minicluster"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700)|os.ModeDir, info.Mode())
}

// TestForwardedSignals checks that signals of the application reach the program through the brokers and a shell.
func TestForwardedSignals(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.Lead.Mode = plan.ModeLauncher
	p.plan.Lead.Command = "sh -c \"trap 'echo usr1' USR1; trap 'echo usr2; exit 6' USR2; echo ready; while :; do sleep 0.05; done\"; exit $?"
	p.start("run")
	p.eventually("a program", func() bool { return p.stdout.String() == "ready\n" })
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR1))
	p.eventually("USR1", func() bool { return p.stdout.String() == "ready\nusr1\n" })
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR2))
	p.wait()
	assert.Contains(t, p.stdout.String(), "usr2")
}

// TestStopWhilePreparing checks that a flux command that hangs does not delay the end of the pod.
func TestStopWhilePreparing(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.write("bin/flux", "#!/bin/sh\ntouch $FAKE_LOG\nsleep 1000\n")
	require.NoError(t, os.Chmod(p.path("bin/flux"), 0o755))
	p.start("run")
	p.eventually("a flux command", func() bool { return pod.Exists(p.path("flux.log")) })
	for _, sig := range []syscall.Signal{syscall.SIGWINCH, syscall.SIGUSR1, syscall.SIGQUIT} {
		require.NoError(t, p.cmd.Process.Signal(sig))
	}
	assert.Equal(t, plan.ExitStopped, p.wait())
	assert.NotContains(t, p.stderr.String(), "goroutine")
}

// TestStopWhileAdoptingHooks checks that a flux command that hangs after a hook has selected another Flux does not
// delay the end of the pod.
func TestStopWhileAdoptingHooks(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.GracePeriodSeconds = 100
	p.write("other/flux", "#!/bin/sh\ntouch $FAKE_ROOT/hangs\nsleep 1000\n")
	require.NoError(t, os.Chmod(p.path("other/flux"), 0o755))
	p.plan.Hooks.Pre = "export PATH=/other:$PATH"
	p.start("run")
	p.eventually("a flux command", func() bool { return pod.Exists(p.path("hangs")) })
	begin := time.Now()
	assert.Equal(t, plan.ExitStopped, p.terminate())
	assert.Less(t, time.Since(begin), 50*time.Second, "half of the grace period")
}

// TestStopWhileExpandingFlags checks that a shell that expands the flags of the user does not delay the end of the pod.
func TestStopWhileExpandingFlags(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.GracePeriodSeconds = 100
	p.plan.Lead.Mode, p.plan.Lead.Command, p.plan.Lead.OptionFlags = plan.ModeSubmit, "true", "$(touch $FAKE_ROOT/expands; sleep 1000)"
	p.start("run")
	p.eventually("a shell", func() bool { return pod.Exists(p.path("expands")) })
	begin := time.Now()
	assert.Equal(t, plan.ExitStopped, p.terminate())
	assert.Less(t, time.Since(begin), 50*time.Second, "half of the grace period")
}
