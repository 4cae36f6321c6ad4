package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// Metrics of the real Flux, if it is installed.
func TestMetricsOfRealFlux(t *testing.T) {
	r, err := fluxtest.StartReal(t.Context(), 4)
	if errors.Is(err, fluxtest.ErrNotInstalled) {
		t.Skip("not testing metrics with the real Flux:", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(), "flux start") })
	url := start(t, Options{Socket: r.URI(), User: -1, Lead: true})

	code, text := get(t, url+"/readyz")
	assert.Equal(t, 200, code, text)
	metric := func(name string) int {
		_, text := get(t, url+"/metrics")
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindStringSubmatch(text)
		if found == nil {
			return -1
		}
		value, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		return value
	}
	eventually := func(name string, want int) {
		t.Helper()
		require.Eventually(t, func() bool { return metric(name) == want }, patience, 50*time.Millisecond, "%s %d", name, want)
	}
	submit := func(args ...string) (id string) {
		id, err := r.Run(t.Context(), append([]string{"submit"}, args...)...)
		require.NoError(t, err)
		return strings.TrimSpace(id)
	}
	eventually("flux_nodes_free", 4)
	assert.Equal(t, 0, metric("flux_nodes_demanded"))
	cores := metric("flux_cores") / 4

	running := submit("-N1", "--exclusive", "--requires=rank:3", "sleep", "inf")
	eventually("flux_nodes_allocated", 1)
	assert.Equal(t, 4, metric("flux_nodes_demanded"), "rank 3 is busy")

	submit("-N4", "--exclusive", "sleep", "inf")
	submit("-N2", "--urgency=hold", "true")
	submit("-n1", "--dependency=afterany:"+running, "true")
	eventually(`flux_jobs{state="sched"}`, 2)
	eventually("flux_nodes_demanded", 5)
	assert.Equal(t, 4, metric("flux_nodes_pending"), "the held and the dependent job are not counted")

	submit(fmt.Sprint("-n", 2*cores), "-c1", "true")
	eventually("flux_cores_pending", 6*cores)
	assert.Equal(t, 7, metric("flux_nodes_demanded"))
	_, err = r.Run(t.Context(), "queue", "stop", "--all")
	require.NoError(t, err)
	eventually("flux_nodes_pending", 0)

	broker := newConn(r.URI(), -1)
	defer broker.close()
	client, err := broker.client(t.Context())
	require.NoError(t, err)
	c, err := newCollector(t.Context(), client, true)
	require.NoError(t, err)
	scrape := func() {
		t.Helper()
		const times = 50
		var took [times]time.Duration
		for i := range took {
			begin := time.Now()
			s, err := c.collect(t.Context())
			require.NoError(t, err)
			exposition(s, nil)
			took[i] = time.Since(begin)
		}
		slices.Sort(took[:])
		t.Logf("a scrape with %d waiting jobs takes %s, median %s", metric(`flux_jobs{state="sched"}`), took[0], took[times/2])
		assert.Less(t, took[0], 50*time.Millisecond)
	}
	scrape()
	submit("--cc=1-1000", "--quiet", "-n1", "true")
	// A job that the scheduler already had may have started while the queue was stopped, and have ended.
	require.Eventually(t, func() bool {
		out, err := r.Run(t.Context(), "jobs", "--count=0", "--filter=sched", "-no", "{id}")
		waiting := len(strings.Fields(out))
		return err == nil && waiting >= 1002 && metric(`flux_jobs{state="sched"}`) == waiting
	}, patience, 50*time.Millisecond, "1000 jobs, and two or three, wait")
	scrape()
}

// until returns a script that runs until a file exists.
func until(file string) string { return "while [ ! -e " + file + " ]; do sleep 0.1; done" }

// Ranks of the real Flux are drained and undrained, and an exclusive job can complete.
func TestShrinkRealFlux(t *testing.T) {
	r, err := fluxtest.StartReal(t.Context(), 4)
	if errors.Is(err, fluxtest.ErrNotInstalled) {
		t.Skip("not testing a shrink with the real Flux:", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(), "flux start") })
	ask := controlled(t, r.URI())
	require.Eventually(t, func() bool {
		out, err := r.Run(t.Context(), "resource", "list", "-no", "{nnodes}", "-s", "free")
		return err == nil && strings.TrimSpace(out) == "4"
	}, patience, 50*time.Millisecond, "all nodes are free")

	end := filepath.Join(t.TempDir(), "end")
	job, err := r.Run(t.Context(), "submit", "-N2", "--exclusive", "--requires=rank:2-3", "sh", "-c", until(end))
	require.NoError(t, err)
	_, err = r.Run(t.Context(), "job", "wait-event", strings.TrimSpace(job), "start") // drained ranks get no job
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		state, err := ask(2)
		return err == nil && state.Jobs == 1 && state.Busy.String() == "2-3" && !state.Idle
	}, patience, 10*time.Millisecond, "the job is reported")
	require.NoError(t, os.WriteFile(end, nil, 0o600))
	require.Eventually(t, func() bool {
		state, err := ask(2)
		return err == nil && state.Idle
	}, patience, 10*time.Millisecond, "the job has ended")
	out, err := r.Run(t.Context(), "jobs", "-a", "-no", "{status}")
	require.NoError(t, err)
	assert.Equal(t, "COMPLETED", strings.TrimSpace(out))
	out, err = r.Run(t.Context(), "resource", "drain", "-no", "{ranks} {reason}")
	require.NoError(t, err)
	assert.Equal(t, "2-3 scale-down", strings.TrimSpace(out))

	state, err := ask(4)
	require.NoError(t, err)
	assert.Equal(t, "2-3", state.Returned.String())
}
