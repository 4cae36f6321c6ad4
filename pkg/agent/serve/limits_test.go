package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// limitedQueues is a configuration with limits of the instance and of queues.
const limitedQueues = `
[policy.jobspec.defaults.system]
queue = "batch"
[policy.limits]
job-size.max.nnodes = 3
[queues.batch]
[queues.stopped]
[queues.disabled]
[queues.short.policy.limits]
duration = "1m"
job-size.max.nnodes = 1
`

// blockedJobs are jobs that Flux may not run however many nodes there are.
var blockedJobs = map[string]struct {
	// args are those of flux submit.
	args []string
	// rejected is a part of the error of flux submit. Otherwise the job is in a state.
	rejected string
	job      flux.Job
}{
	"held":       {args: []string{"-N1", "--urgency=hold"}, job: flux.Job{State: flux.JobSched, Urgency: new(0), Priority: new(int64(0))}},
	"dependency": {args: []string{"-N1", "--dependency=afterany:JOB"}, job: flux.Job{State: flux.JobDepend}},
	"begin time": {args: []string{"-N1", "--begin-time=+1h"}, job: flux.Job{State: flux.JobDepend}},
	"stopped queue": {
		args: []string{"-N1", "--queue=stopped"}, job: flux.Job{State: flux.JobSched, Queue: "stopped", Urgency: new(16), Priority: new(int64(16))},
	},
	"size limit of the instance":       {args: []string{"-N4"}, rejected: "exceeds policy limit"},
	"size limit of the queue":          {args: []string{"-N2", "--queue=short", "-t10s"}, rejected: "exceeds policy limit"},
	"time limit of the queue":          {args: []string{"-N1", "--queue=short", "-t1h"}, rejected: "exceeds policy limit"},
	"no time, in a queue with a limit": {args: []string{"-N1", "--queue=short"}, rejected: "exceeds policy limit"},
	"disabled queue":                   {args: []string{"-N1", "--queue=disabled"}, rejected: "disabled"},
}

// Jobs that may not run add nothing to the demand: the real Flux keeps them from the scheduler, or rejects them.
func TestDemandOfBlockedJobsInRealFlux(t *testing.T) {
	r := realInstance(t, 4)
	run := func(args ...string) (string, error) {
		out, err := r.Run(t.Context(), args...)
		return strings.TrimSpace(out), err
	}
	config := filepath.Join(t.TempDir(), "limits.toml")
	require.NoError(t, os.WriteFile(config, []byte(limitedQueues), 0o600))
	for _, command := range [][]string{{"config", "load", config}, {"queue", "start", "--all", "--quiet"}, {"queue", "stop", "--quiet", "stopped"}, {"queue", "disable", "disabled"}} {
		_, err := run(command...)
		require.NoError(t, err)
	}
	collect := collectorOf(t, r.URI())
	busy, err := run("submit", "-N1", "--exclusive", "sleep", "inf")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return collect().sched.Allocated.Ranks().Count() == 1 }, patience, 50*time.Millisecond)
	for name, blocked := range blockedJobs {
		args := append([]string{"submit"}, blocked.args...)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "JOB", busy)
		}
		id, err := run(append(args, "--exclusive", "sleep", "inf")...)
		if blocked.rejected != "" {
			assert.ErrorContains(t, err, blocked.rejected, name)
			continue
		}
		require.NoError(t, err, name)
		require.Eventually(t, func() bool {
			state, err := run("jobs", "-no", "{state}", id)
			return err == nil && state == strings.ToUpper(blocked.job.State.String())
		}, patience, 50*time.Millisecond, name)
		assert.Equal(t, demand{nodes: 1}, collect().demand, name)
	}
	_, err = run("queue", "start", "--quiet", "stopped")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return collect().sched.Allocated.Ranks().Count() == 2 }, patience, 50*time.Millisecond, "the job of the stopped queue runs")
}

// The same holds with the stand-in.
func TestDemandOfBlockedJobs(t *testing.T) {
	for name, blocked := range blockedJobs {
		if blocked.rejected != "" {
			continue // Flux does not accept it
		}
		t.Run(name, func(t *testing.T) {
			i := instance(t, fluxtest.Config{Size: 4, Cores: 4})
			i.SetQueues(flux.QueueStatus{Name: "batch", Enabled: true, Started: true}, flux.QueueStatus{Name: "stopped", Enabled: true})
			job := blocked.job
			job.ID, job.Nodes, job.Tasks = 2, 1, 1
			i.SetJobs(job, flux.Job{ID: 1, State: flux.JobRun, Queue: "batch", Nodes: 1, Ranks: flux.IDs(0)})
			collect := collectorOf(t, i.URI())
			assert.Equal(t, demand{nodes: 1}, collect().demand)
			i.SetQueues(flux.QueueStatus{Name: "batch", Enabled: true, Started: true}, flux.QueueStatus{Name: "stopped", Enabled: true, Started: true})
			job.State, job.Urgency, job.Priority = flux.JobSched, new(16), new(int64(16))
			i.SetJobs(job, flux.Job{ID: 1, State: flux.JobRun, Queue: "batch", Nodes: 1, Ranks: flux.IDs(0)})
			require.Eventually(t, func() bool { return collect().demand.nodes == 2 }, patience, 10*time.Millisecond, "it is free to run")
		})
	}
}

// Limits of flux-accounting hold jobs by dependencies, and jobs of unknown banks are rejected, so they add nothing to
// the demand. An elastic cluster needs the limit of jobs that wait for resources: the other limits apply only while
// enough jobs run already.
func TestDemandWithFluxAccounting(t *testing.T) {
	program, err := exec.LookPath("flux")
	if err != nil {
		t.Skip("needs an installed Flux")
	}
	if found, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "../lib*/flux/job-manager/plugins/mf_priority.so")); len(found) == 0 {
		t.Skip("needs flux-accounting in the prefix of Flux")
	}
	r := realInstance(t, 4)
	run := func(args ...string) string {
		out, err := r.Run(t.Context(), args...)
		if !assert.NoError(t, err) { // not require: it also runs in other goroutines
			return ""
		}
		return strings.TrimSpace(out)
	}
	db := filepath.Join(t.TempDir(), "accounting.db")
	run("account", "-p", db, "create-db")
	run("jobtap", "load", "mf_priority.so")
	collect := collectorOf(t, r.URI())
	pending := func(nodes int) func() bool {
		return func() bool { return collect().demand.pendingNodes == nodes }
	}
	// Without the data of the accounts, jobs wait for a priority.
	early := run("submit", "-N1", "--exclusive", "sleep", "inf")
	require.Eventually(t, func() bool { return run("jobs", "-no", "{state}", early) == "PRIORITY" }, patience, 100*time.Millisecond)
	assert.Zero(t, collect().demand)
	run("cancel", early)

	service(t, r, db)
	run("account", "add-bank", "root", "1")
	run("account", "add-bank", "--parent-bank=root", "physics", "1")
	run("account", "add-user", "--username=root", "--userid=0", "--bank=physics", "--max-nodes=2", "--max-sched-jobs=1")
	run("account-priority-update", "-p", db)
	_, err = r.Run(t.Context(), "submit", "-B", "chemistry", "-N1", "true")
	assert.ErrorContains(t, err, "cannot find user/bank")
	_, err = r.Run(t.Context(), "submit", "-B", "physics", "-N3", "true")
	assert.ErrorContains(t, err, "is greater than max resources limits")

	submit := func() string { return run("submit", "-B", "physics", "-N1", "--exclusive", "sleep", "inf") }
	running := []string{submit()}
	run("job", "wait-event", running[0], "start")
	running = append(running, submit())
	run("job", "wait-event", running[1], "start")
	held := submit()
	require.Eventually(t, func() bool {
		return run("jobs", "-no", "{state} {dependencies}", held) == "DEPEND max-resources-user-limit"
	}, patience, 100*time.Millisecond)
	assert.Equal(t, demand{nodes: 2}, collect().demand, "its bank has all nodes that it may have")
	run("cancel", running[1])
	run("job", "wait-event", held, "start")

	// No node is free: one job waits for resources, and the others for their limit.
	run("account", "edit-user", "root", "--bank=physics", "--max-nodes=8")
	run("account-priority-update", "-p", db)
	run("resource", "drain", "2-3", "maintenance")
	first, second := submit(), ""
	require.Eventually(t, pending(1), patience, 50*time.Millisecond)
	second = submit()
	require.Eventually(t, func() bool {
		return run("jobs", "-no", "{state} {dependencies}", second) == "DEPEND max-sched-jobs-user-limit"
	}, patience, 100*time.Millisecond)
	assert.Equal(t, 1, collect().demand.pendingNodes)
	run("cancel", first)
	require.Eventually(t, func() bool { return run("jobs", "-no", "{state}", second) == "SCHED" }, patience, 100*time.Millisecond)
	require.Eventually(t, pending(1), patience, 50*time.Millisecond, "the next job may run")
}

// service runs the service of flux-accounting until the test ends.
func service(t *testing.T, r *fluxtest.Real, db string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = r.Run(ctx, "account-service", "-p", db) // it ends by a signal
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	require.Eventually(t, func() bool {
		_, err := r.Run(t.Context(), "account", "list-factors")
		return err == nil
	}, patience, 200*time.Millisecond, "the service of flux-accounting answers")
}

// realInstance starts the real Flux until the test ends.
func realInstance(t *testing.T, size int) *fluxtest.Real {
	t.Helper()
	r, err := fluxtest.StartReal(t.Context(), size)
	if errors.Is(err, fluxtest.ErrNotInstalled) {
		t.Skip("needs the real Flux:", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(), "flux start") })
	return r
}

// collectorOf returns a function that collects the metrics of an instance.
func collectorOf(t *testing.T, uri string) func() *snapshot {
	t.Helper()
	broker := newConn(uri, -1)
	t.Cleanup(broker.close)
	var c *collector
	require.Eventually(t, func() bool {
		client, err := broker.client(t.Context())
		if err == nil {
			c, err = newCollector(t.Context(), client, true)
		}
		return err == nil
	}, patience, 50*time.Millisecond)
	return func() *snapshot {
		s, err := c.collect(t.Context())
		require.NoError(t, err, fmt.Sprint("collect from ", uri))
		return s
	}
}
