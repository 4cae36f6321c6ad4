package serve

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// TestBurstOfRealFlux submits jobs as fast as the real Flux can run them, with and without a reader of its journal,
// and logs the cost of both in one run.
func TestBurstOfRealFlux(t *testing.T) {
	const jobs = 300
	r, err := fluxtest.StartReal(t.Context(), 1)
	if errors.Is(err, fluxtest.ErrNotInstalled) {
		t.Skip("the cost of a burst of jobs was not measured:", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(), "flux start") })
	client, err := flux.Dial(t.Context(), r.URI())
	require.NoError(t, err)
	defer client.Close()
	broker, err := client.Attr(t.Context(), "broker.pid")
	require.NoError(t, err)
	// The jobs start no process, which would cost more than what is measured.
	burst := func(kind string) {
		ended := func() int {
			stats, err := client.JobStats(t.Context())
			if !assert.NoError(t, err) { // not require: it also runs in another goroutine
				return 0
			}
			return stats.States.Inactive
		}
		before, begin, brokerBegan, selfBegan := ended(), time.Now(), cpuOf(t, broker), cpu(t)
		_, err := r.Run(t.Context(), "submit", fmt.Sprint("--cc=1-", jobs), "--quiet", "-n1", "--setattr=exec.test.run_duration=1ms", "true")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return ended()-before == jobs }, patience, 100*time.Millisecond)
		took := time.Since(begin)
		t.Logf("%s: %.0f jobs a second; a job takes %.2f ms CPU of the broker, %.3f ms of this process", kind, jobs/took.Seconds(),
			(cpuOf(t, broker)-brokerBegan).Seconds()*1000/jobs, (cpu(t)-selfBegan).Seconds()*1000/jobs)
	}
	burst("the first") // the broker creates its files
	for range 2 {
		burst("without a reader")
		func() {
			c, err := flux.Dial(t.Context(), r.URI())
			require.NoError(t, err)
			defer c.Close()
			collector, err := newCollector(t.Context(), c, true)
			require.NoError(t, err)
			burst("with a reader")
			s, err := collector.collect(t.Context())
			require.NoError(t, err)
			assert.Zero(t, s.demand)
			assert.False(t, collector.isStale())
		}()
	}
}

// cpu returns the CPU time of this process.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// cpuOf returns the CPU time of another process (proc_pid_stat(5)), in steps of 10 ms.
func cpuOf(t *testing.T, pid string) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), ") ")
	require.True(t, found)
	fields := strings.Fields(after)
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
