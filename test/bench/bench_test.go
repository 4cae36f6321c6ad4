package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/process"
)

func TestParse(t *testing.T) {
	o, err := parse(nil)
	require.NoError(t, err)
	assert.Equal(t, 300, o.N)
	o, err = parse([]string{"-n", "5", "--singles=9"})
	require.NoError(t, err)
	assert.Equal(t, 5, o.Singles, "not more than exist")
	for _, args := range [][]string{{"-n", "0"}, {"--rounds=0"}, {"--workers=-1"}, {"what"}, {"--unknown"}} {
		_, err := parse(args)
		assert.Error(t, err, "%q", args)
	}
}

func TestParseMetrics(t *testing.T) {
	o, err := parseMetrics([]string{"--duration=1s"})
	require.NoError(t, err)
	assert.Equal(t, 1000, o.N)
	assert.Equal(t, time.Second, o.Duration)
	for _, args := range [][]string{{"-n", "1"}, {"--hanging=0"}, {"-n", "9", "--hanging=9"}, {"--duration=0s"}, {"what"}, {"--rounds=1"}} {
		_, err := parseMetrics(args)
		assert.Error(t, err, "%q", args)
	}
}

func TestParseStart(t *testing.T) {
	o, err := parseStart([]string{"--rounds=2"})
	require.NoError(t, err)
	assert.Equal(t, 2, o.Rounds)
	assert.Len(t, kinds(o), 4)
	for _, args := range [][]string{{"--rounds=0"}, {"--size=0"}, {"what"}} {
		_, err := parseStart(args)
		assert.Error(t, err, "%q", args)
	}
}

// TestStartRound: a step counts when the first event shows it, a round when its last pod has reached it.
func TestStartRound(t *testing.T) {
	begin := time.Now()
	r := &startRound{create: begin, delete: begin.Add(time.Minute), pods: map[string]*podTimes{}}
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	for i, name := range []string{"a", "b"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
		r.record(pod, watch.Added, at(1+i))
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		r.record(pod, watch.Modified, at(3+i))
		r.record(pod, watch.Modified, at(30))
		r.record(pod, watch.Deleted, at(62+i))
	}
	assert.Equal(t, 2, r.count(ready))
	assert.Zero(t, r.count(scheduled))
	results := &startResults{options: &startOptions{Size: 2, Rounds: 1}, rounds: map[string][]*startRound{}}
	for _, k := range kinds(results.options) {
		results.rounds[k.name] = []*startRound{r}
	}
	var out strings.Builder
	require.NoError(t, results.print(&out))
	assert.Regexp(t, `init container .* 4\.00 .* 3\.00 .*4\.00 to 4\.00 +\+0\.00 +3\.00 to 3\.00`, out.String())
}

func TestParseScale(t *testing.T) {
	o, err := parseScale([]string{"-n", "1000", "--large=500"})
	require.NoError(t, err)
	assert.Equal(t, 11, o.Nodes, "one for 500 pods")
	assert.Equal(t, 500, o.Large)
	o, err = parseScale([]string{"-n", "0"})
	require.NoError(t, err)
	assert.Len(t, (&scaleLab{options: o}).phases(), 6, "without tenants")
	o, err = parseScale([]string{"--large=0"})
	require.NoError(t, err)
	assert.Len(t, (&scaleLab{options: o}).phases(), 6, "without a large MiniCluster")
	for _, args := range [][]string{{"-n", "1"}, {"--large=1"}, {"--resizes=0"}, {"--foreign=-1"}, {"what"}, {"--rounds=1"}} {
		_, err := parseScale(args)
		assert.Error(t, err, "%q", args)
	}
}

func TestPrintScale(t *testing.T) {
	o, err := parseScale(nil)
	require.NoError(t, err)
	r := newScaleResults(o)
	var out strings.Builder
	require.NoError(t, r.print(&out))
	assert.Empty(t, out.String(), "nothing was measured")

	r.Create, r.RawCreate, r.Run, r.RawRun, r.Tenants = 3, 2, 5, 4, []float64{4, 5}
	r.Resizes, r.RawResizes, r.ResizesUnderLoad = []float64{0.2, 0.4}, []float64{0.1, 0.2}, 1
	r.Objects["Job"] = 12_300
	r.Phases = []scalePhase{{
		Name: "delete all", Seconds: 2, CPUSeconds: 0.5, RSS: 30 << 20, PeakRSS: 40 << 20,
		Requests: map[string]int{"list pods": 1, "patch jobs": 2, "watch jobs": 9, "update miniclusters/status": 1},
	}}
	for i := range 30 {
		r.Samples = append(r.Samples, sample{Seconds: float64(i + 1), CPUSeconds: float64(i+1) / 4, RSS: 30 << 20})
	}
	require.NoError(t, r.print(&out))
	for _, line := range []string{
		`all Jobs of a tenant exist +3.00 s +2.00 s +1.50`,
		`all pods of a tenant run +5.00 s +4.00 s +1.25`,
		`resize of another tenant meanwhile, maximum +400 ms +200 ms +2.00`,
		`slower, faster +5.00 s +4.00 s +1.25`,
		`Job of the large MiniCluster +12.3 kB`,
		`delete all +2.0 s +0.50 s +30 MiB +40 MiB +4 +25.0 % +patch jobs 2, list pods 1, update miniclusters/status 1`,
		`30 s +30 MiB +25 %`,
	} {
		assert.Regexp(t, line, out.String())
	}

	r = newScaleResults(o)
	r.Patches, r.Objects["Job"], r.Phases = []float64{0.1}, 12_300, []scalePhase{{Name: "large: grow", Seconds: 2}}
	out.Reset()
	require.NoError(t, r.print(&out))
	assert.Contains(t, out.String(), "12.3 kB")
	assert.NotContains(t, out.String(), "tenant", "none was measured")
}

func TestCompare(t *testing.T) {
	var out strings.Builder
	compare(&out, "both", "%.1f s", 3, 2)
	compare(&out, "a floor", "%.1f s", 3, 2, 5, 4)
	compare(&out, "no limit", "%.0f MiB", 3, 0)
	compare(&out, "no operator", "%.1f s", 0, 2, 1, 2)
	compare(&out, "nothing", "%.1f s", 0, 0)
	assert.Equal(t, "both\t3.0 s\t2.0 s\t1.50\t\na floor\t3.0 s\t2.0 s\t1.50\t5.0 s\t1.25\t\nno limit\t3 MiB\t\t\t\n"+
		"no operator\t\t2.0 s\t\t1.0 s\t0.50\t\n", out.String())
}

// The memory and the CPU time of a process that replaces another one are added.
func TestSampler(t *testing.T) {
	start := func() *process.Process {
		p, err := process.Start(process.Command{Name: "shell", Path: "/bin/sh", Args: []string{"-c", "sleep 60"}})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, p.Stop()) })
		return p
	}
	s := startSampler(t.Context(), start())
	s.begin()
	s.follow(start())
	_, rss, peak := s.end()
	samples := s.stop()
	if runtime.GOOS == "linux" {
		require.NotEmpty(t, samples)
		assert.Positive(t, rss)
		assert.GreaterOrEqual(t, peak, rss)
	}
}

// An agent is identified by its address, reports its own number, and stops responding on demand.
func TestAgents(t *testing.T) {
	port, err := process.FreePort(t.Context())
	require.NoError(t, err)
	a, err := startAgents(t.Context(), 3, port, "flux_up 1\nflux_nodes_up 4\nflux_last_update_timestamp_seconds 0\n")
	require.NoError(t, err)
	defer a.close()
	a.hang(1)
	for i, want := range []string{"", "flux_nodes_up 1\n", "flux_nodes_up 2\n"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(agentAddress(i), strconv.Itoa(port))+"/metrics", http.NoBody)
		require.NoError(t, err)
		if want == "" {
			_, err = (&http.Client{Timeout: 200 * time.Millisecond}).Do(request) //nolint:bodyclose // no response
			require.ErrorIs(t, err, context.DeadlineExceeded)
			continue
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Contains(t, string(text), want)
		assert.Contains(t, string(text), "flux_up 1\n")
		assert.NotContains(t, string(text), "seconds 0\n")
	}
	assert.Zero(t, a.overlaps.Load())
}

func TestBetween(t *testing.T) {
	var out strings.Builder
	r := &metricsResults{options: &metricsOptions{options: &options{N: 10, Nodes: 5}}}
	require.NoError(t, r.print(&out))
	assert.Empty(t, out.String(), "no measurement")
	s := between(&reading{rounds: 1, seconds: 9, done: 10}, &reading{
		Usage: process.Usage{CPU: time.Second, RSS: 30 << 20, PeakRSS: 40 << 20}, rounds: 3, seconds: 10, done: 28, silent: 2,
	}, 10*time.Second)
	s.situation = "no requests"
	r.situations = []situation{*s}
	require.NoError(t, r.print(&out))
	assert.Regexp(t, `no requests +2 in 10 s +0.50 s +9 +1 +1.00 s +0.50 s +10.0 % +30 MiB +40 MiB +0.0 s`, out.String())
}

func TestQuantile(t *testing.T) {
	assert.Zero(t, quantile(nil, 0.5))
	values := []float64{4, 1, 3, 2}
	assert.InDelta(t, 1, quantile(values, 0), 1e-9)
	assert.InDelta(t, 2.5, quantile(values, 0.5), 1e-9)
	assert.InDelta(t, 4, quantile(values, 1), 1e-9)
	assert.Equal(t, []float64{4, 1, 3, 2}, values, "the values are not modified")
}

func TestWorth(t *testing.T) {
	counts := map[string]int{"watch jobs": 3, "update leases": 9, "patch jobs": 1}
	assert.Equal(t, map[string]int{"patch jobs": 1}, worth(counts))
	assert.Len(t, counts, 3, "the counts are not modified")
}

func TestPrint(t *testing.T) {
	r := newResults(&options{N: 10, Rounds: 1, Singles: 1})
	var out strings.Builder
	require.NoError(t, r.print(&out))
	assert.Empty(t, out.String(), "no measurement")

	r.took(operatorTurn, "all Jobs exist", 3*time.Second)
	r.took(rawTurn, "all Jobs exist", 2*time.Second)
	r.took(floorTurn, "all Jobs exist", 2500*time.Millisecond)
	r.Latency[operatorTurn], r.Latency[rawTurn] = []float64{0.010}, []float64{0.005}
	r.Latency[floorTurn], r.Latency[floorJobs] = []float64{0.009}, []float64{0.006}
	r.countRequests(phaseCreate, map[string]int{"create jobs": 10, "watch jobs": 1})
	r.use(operatorTurn, phaseCreate, process.Usage{}, process.Usage{CPU: time.Second, RSS: 30 << 20})
	require.NoError(t, r.print(&out))
	for _, line := range []string{
		`all Jobs exist +3.00 s +2.00 s +1.50 +2.50 s +1.25`,
		`median +10.0 ms +5.0 ms +2.00 +9.0 ms +1.50`,
		`create jobs +10 +0`,
		`all, for each MiniCluster +1.00`,
		`CPU, create +1.00 s`,
	} {
		assert.Regexp(t, line, out.String())
	}
}

// TestRawStatus checks that the raw client's status has the fields that flux-operator's CRD requires.
func TestRawStatus(t *testing.T) {
	mc := &v1alpha2.MiniCluster{}
	mc.UID = "uid"
	text, err := json.Marshal(status(mc, 2))
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(text, &fields))
	for _, required := range []string{"jobid", "maximumSize", "selector", "size"} {
		assert.Contains(t, fields, required)
	}
}

func TestOnlyIn(t *testing.T) {
	quiet := []cluster.Request{
		{Verb: "create", Resource: "jobs", Namespace: "new"},
		{Verb: "list", Resource: "jobs"},
		{Verb: "update", Resource: "leases", Namespace: "system"},
		{Verb: "get", Path: "/version"},
	}
	require.NoError(t, onlyIn("new", quiet))
	changed := slices.Concat(quiet, []cluster.Request{{Verb: "patch", Resource: "jobs", Namespace: "old", Name: "a"}})
	require.ErrorContains(t, onlyIn("new", changed), "1 changes; the first one: patch jobs of old/a")
}
