package contract

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	pkgflux "minicluster.internal/operator/pkg/flux"
)

// Jobs of one command with their output and exit code. The instance has two nodes of two cores.
func TestJobs(t *testing.T) {
	table := map[string]struct {
		args []string
		code int
		out  string // lines in any order
		err  string
	}{
		"run":                       {[]string{"run", "echo", "a b", "$HOME"}, 0, "a b $HOME\n", ""},
		"exit code":                 {[]string{"run", "sh", "-c", "exit 3"}, 3, "", "exit code 3"},
		"signal":                    {[]string{"run", "sh", "-c", "kill -9 $$"}, 137, "", ""},
		"stderr":                    {[]string{"run", "sh", "-c", "echo oops >&2"}, 0, "", "oops\n"},
		"tasks":                     {[]string{"run", "-n3", "sh", "-c", "echo $FLUX_TASK_RANK of $FLUX_JOB_SIZE"}, 0, "0 of 3\n1 of 3\n2 of 3\n", ""},
		"nodes":                     {[]string{"run", "-N2", "sh", "-c", "echo $FLUX_JOB_NNODES $FLUX_JOB_SIZE"}, 0, "2 2\n2 2\n", ""},
		"nodes and tasks":           {[]string{"run", "-N2", "-n4", "sh", "-c", "echo $FLUX_JOB_NNODES $FLUX_JOB_SIZE"}, 0, "2 4\n2 4\n2 4\n2 4\n", ""},
		"label":                     {[]string{"run", "-n2", "-l", "echo", "x"}, 0, "0: x\n1: x\n", ""},
		"highest exit code":         {[]string{"run", "-n3", "sh", "-c", "exit $FLUX_TASK_RANK"}, 2, "", "exit code 2"},
		"not found":                 {[]string{"run", "/nosuch"}, 127, "", ""},
		"too many nodes":            {[]string{"run", "-N3", "true"}, 1, "", "unsatisfiable"},
		"too many cores":            {[]string{"run", "-n5", "true"}, 1, "", "unsatisfiable"},
		"more nodes than tasks":     {[]string{"run", "-N2", "-n1", "true"}, 1, "", "task"},
		"no command":                {[]string{"run"}, 1, "", ""},
		"unknown option":            {[]string{"run", "--nosuch", "true"}, 2, "", "nosuch"},
		"unknown queue":             {[]string{"run", "-q", "nosuch", "true"}, 1, "", "queue"},
		"variables":                 {[]string{"run", "--env=X=1", "sh", "-c", "echo $X $PATHX"}, 0, "1\n", ""},
		"working directory":         {[]string{"run", "--cwd=/", "pwd"}, 0, "/\n", ""},
		"submit and watch":          {[]string{"submit", "--watch", "--quiet", "echo", "x"}, 0, "x\n", ""},
		"submit and watch, failing": {[]string{"submit", "--watch", "--quiet", "-N1", "sh", "-c", "echo x; exit 4"}, 4, "x\n", ""},
		"submit and wait":           {[]string{"submit", "--wait", "--quiet", "sh", "-c", "echo x; exit 5"}, 5, "", ""},
		"a line without end":        {[]string{"run", "printf", "x"}, 0, "x", ""},
		"option flags":              {[]string{"submit", "--watch", "--quiet", "-ompi=none", "-o", "cpu-affinity=off", "-vvv", "echo", "x"}, 0, "x\n", ""},
		"no such rank":              {[]string{"run", "--requires=rank:5", "true"}, 1, "", "unsatisfiable"},
		"no such host":              {[]string{"run", "--requires=host:nosuch", "true"}, 1, "", "host 'nosuch' not found"},
		"no such property":          {[]string{"run", "--requires=gpunode", "true"}, 1, "", "unsatisfiable"},
		"no such constraint":        {[]string{"run", "--requires=phase:full", "true"}, 1, "", "unknown constraint operator 'phase'"},
		"more nodes than required":  {[]string{"run", "-N2", "--requires=rank:1", "true"}, 1, "", "unsatisfiable"},
		"time limit":                {[]string{"run", "-t", "1s", "sleep", "60"}, 142, "", "timeout"},
	}
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 2, 2, "")
		for name, tc := range table {
			t.Run(name, func(t *testing.T) {
				r := i.at(t, 0, tc.args...)
				assert.Equal(t, tc.code, r.code, r.errors)
				assert.ElementsMatch(t, strings.SplitAfter(tc.out, "\n"), strings.SplitAfter(r.out, "\n"))
				assert.Contains(t, r.errors, tc.err)
			})
		}
		t.Run("wait for one", func(t *testing.T) {
			id := i.out(t, "submit", "sh", "-c", "exit 6")
			i.out(t, "job", "wait-event", "--quiet", id, "clean")
			assert.Equal(t, 6, i.at(t, 0, "job", "status", id).code)
			assert.Equal(t, 6, i.at(t, 0, "job", "attach", id).code)
			assert.Equal(t, id, i.out(t, "jobs", "-A", "--count=0", "--filter=inactive", "-n", "-o", "{id.f58}", id))
			dec := i.out(t, "jobs", "-no", "{id.dec}", id)
			assert.Regexp(t, "^[0-9]+$", dec)
			assert.Equal(t, 6, i.at(t, 0, "job", "status", dec).code)
		})
		t.Run("where it is to run", func(t *testing.T) {
			for requires, ranks := range map[string]string{"rank:1": "1", "ranks:0": "0", "host:c-1": "1", "hosts:c-[0-1]": "0"} {
				id := i.out(t, "submit", "--wait", "-N1", "--requires="+requires, "true")
				assert.Equal(t, "COMPLETED "+ranks, i.out(t, "jobs", "-no", "{status} {ranks}", id), requires)
			}
		})
		t.Run("the job's id is printed", func(t *testing.T) {
			id := i.out(t, "submit", "--wait", "true")
			assert.Regexp(t, `^ƒ[1-9A-Za-z]+$`, id)
			assert.Equal(t, "COMPLETED true 1", i.out(t, "jobs", "-no", "{status} {name} {ntasks}", id))
			assert.Equal(t, id, i.out(t, "job", "last"))
		})
	})
}

// flux env runs a command with its exit code.
func TestEnv(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 1, 1, "")
		assert.Equal(t, "a b", i.out(t, "env", "sh", "-c", "echo $*", "name", "a", "b"))
		assert.Equal(t, 7, i.at(t, 0, "env", "sh", "-c", "exit 7").code)
		assert.NotZero(t, i.at(t, 0, "env", "no-such-program").code)
	})
}

// Inactive jobs are counted by their result, each once.
func TestCounts(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 2, 2, "")
		i.at(t, 0, "run", "true")
		i.at(t, 0, "run", "false")
		i.at(t, 0, "run", "-t", "1s", "sleep", "60")
		require.Eventually(t, func() bool {
			r := i.at(t, 0, "jobs", "-A", "--stats-only")
			return r.code == 1 && r.out == "0 running, 1 completed, 2 failed, 0 pending, 0 inactive purged\n"
		}, patience, 100*time.Millisecond, "without active jobs, the exit code is 1")
		id := i.out(t, "submit", "sleep", "60")
		i.out(t, "cancel", id)
		i.out(t, "job", "wait-event", "--quiet", id, "clean")
		i.out(t, "submit", "sleep", "60")

		client, err := pkgflux.Dial(t.Context(), i.uri(0))
		require.NoError(t, err)
		defer client.Close()
		require.Eventually(t, func() bool {
			stats, err := client.JobStats(t.Context())
			return err == nil && stats.States.Inactive == 4 && stats.States.Run == 1 &&
				stats.Successful == 1 && stats.Failed == 1 && stats.Canceled == 1 && stats.TimedOut == 1
		}, patience, 10*time.Millisecond)
		known, err := client.KnownJobs(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 5, known)
	})
}

// Jobs wait in order, are canceled, and can be waited for.
func TestQueue(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 2, 1, "")
		first := i.out(t, "submit", "-n2", "sleep", "90")
		second := i.out(t, "submit", "-N2", "true") // waits for a node that does not exist yet
		third := i.out(t, "submit", "-n1", "true")  // waits for the job before it
		held := i.out(t, "submit", "--urgency=0", "true")
		i.eventually(t, "RUN", "jobs", "-no", "{status}", first)
		state := func(id string) string { return i.out(t, "jobs", "-no", "{status}", id) }
		assert.Equal(t, []string{"SCHED", "SCHED", "SCHED"}, []string{state(second), state(third), i.out(t, "jobs", "-no", "{state}", held)})
		assert.Equal(t, "c-0", i.out(t, "resource", "list", "-ns", "allocated", "-o", "{nodelist}"))
		assert.Equal(t, "0", i.out(t, "resource", "list", "-ns", "free", "-o", "{nnodes}"))

		i.out(t, "cancel", first)
		i.eventually(t, "CANCELED", "jobs", "-no", "{status}", first)
		assert.NotZero(t, i.at(t, 0, "cancel", first).code)
		i.start(t, 1, quorum(1)...)
		i.eventually(t, "COMPLETED", "jobs", "-no", "{status}", second)
		i.eventually(t, "COMPLETED", "jobs", "-no", "{status}", third)
		i.out(t, "cancel", "--all", "--quiet")
		i.eventually(t, "CANCELED", "jobs", "-no", "{status}", held)
		assert.Empty(t, i.out(t, "jobs", "-no", "{id}"))
		assert.Len(t, strings.Fields(i.out(t, "jobs", "-a", "-no", "{id}")), 4)

		assert.Equal(t, "Scheduling is stopped", i.out(t, "queue", "stop"))
		stopped := i.out(t, "submit", "--flags=waitable", "false")
		i.out(t, "queue", "idle")
		assert.Equal(t, "SCHED", state(stopped))
		assert.Equal(t, "Job submission is enabled\nScheduling is stopped", i.out(t, "queue", "status"))
		assert.Equal(t, "Scheduling is started", i.out(t, "queue", "start"))
		r := i.at(t, 0, "job", "wait", "--all")
		assert.Equal(t, 1, r.code, r.errors)
		i.out(t, "queue", "disable", "--message=closed")
		r = i.at(t, 0, "submit", "true")
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.errors, "closed")
	})
}

// Named queues must be started.
func TestNamedQueues(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 1, 1, "[queues.batch]\n[queues.debug]\n")
		id := i.out(t, "submit", "-q", "batch", "true")
		assert.NotZero(t, i.at(t, 0, "submit", "true").code)
		time.Sleep(500 * time.Millisecond) // nothing happens
		assert.Equal(t, "SCHED", i.out(t, "jobs", "-no", "{status}", id))
		assert.NotZero(t, i.at(t, 0, "queue", "start").code)
		assert.Equal(t, "batch: Scheduling is started\ndebug: Scheduling is started", i.out(t, "queue", "start", "--all"))
		i.eventually(t, "COMPLETED", "jobs", "-no", "{status}", id)
	})
}

// A nested instance runs a script.
func TestBatch(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 2, 2, "")
		i.write(t, "script", "#!/bin/sh\necho args $*\nflux resource list -n -s up -o '{nnodes}'\nflux run -N2 sh -c 'echo $FLUX_TASK_RANK'\nflux submit --flags=waitable true\nflux queue idle\nexit 3\n")
		require.NoError(t, os.Chmod(i.path("script"), 0o755))
		id := i.out(t, "batch", "-N2", "--flags=waitable", "--output="+i.path("out"), i.path("script"), "a", "b")
		r := i.at(t, 0, "job", "wait", "--all")
		assert.Equal(t, 1, r.code, r.errors)
		out, err := os.ReadFile(i.path("out"))
		require.NoError(t, err)
		lines := strings.Fields(string(out))
		assert.Equal(t, []string{"args", "a", "b", "2"}, lines[:4])
		assert.Subset(t, lines, []string{"0", "1"})
		assert.Equal(t, "FAILED 3", i.out(t, "jobs", "-no", "{status} {returncode}", id))
		i.write(t, "script", "echo no interpreter\n")
		assert.Equal(t, 1, i.at(t, 0, "batch", "-N1", i.path("script")).code)
	})
}

// Drained ranks finish their jobs and get no new ones, until they are undrained. A drain survives the end of the
// broker.
func TestDrain(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 2, 2, "")
		all := i.out(t, "submit", "-N2", "sleep", "90")
		i.eventually(t, "RUN", "jobs", "-no", "{status}", all)
		i.out(t, "resource", "drain", "1", "scale-down")
		status := []string{"resource", "drain", "-n", "-o", "{nnodes} {ranks} {reason}"}
		assert.Equal(t, "1 1 scale-down", i.out(t, status...))
		assert.NotZero(t, i.at(t, 0, "resource", "drain", "1", "again").code)
		i.out(t, "resource", "drain", "--update", "1", "again")
		assert.Equal(t, "1 1 scale-down", i.out(t, status...))
		assert.Equal(t, "RUN", i.out(t, "jobs", "-no", "{status}", all))
		i.out(t, "cancel", all)
		i.nodes(t, "free", "c-0")
		next := i.out(t, "submit", "-N2", "true")
		brokers[1].signal(syscall.SIGTERM)
		assert.Zero(t, brokers[1].exit())
		i.start(t, 1, quorum(2)...)
		i.eventually(t, "c-[0-1]", "resource", "status", "-n", "-s", "online", "-o", "{nodelist}")
		assert.Equal(t, "SCHED", i.out(t, "jobs", "-no", "{status}", next))
		i.out(t, "resource", "undrain", "1")
		i.eventually(t, "COMPLETED", "jobs", "-no", "{status}", next)
		assert.NotZero(t, i.at(t, 0, "resource", "undrain", "1").code)
		assert.NotZero(t, i.at(t, 0, "resource", "drain", "7").code)
	})
}

// A job whose node is lost fails.
func TestLostNode(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 2, 2, "[heartbeat]\nperiod = \"0.5s\"\n")
		all := i.out(t, "submit", "-N2", "sleep", "90")
		i.eventually(t, "RUN", "jobs", "-no", "{status}", all)
		brokers[1].signal(syscall.SIGKILL)
		i.eventually(t, "FAILED", "jobs", "-no", "{status}", all)
		i.nodes(t, "free", "c-0")
	})
}
