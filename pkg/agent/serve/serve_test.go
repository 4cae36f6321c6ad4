package serve

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
	"minicluster.internal/operator/test/framework/golden"
)

// patience is the timeout of conditions that must become true, also on a busy machine.
const patience = time.Minute

func instance(t *testing.T, config fluxtest.Config) *fluxtest.Instance {
	t.Helper()
	i, err := fluxtest.NewInstance(config)
	require.NoError(t, err)
	t.Cleanup(i.Close)
	return i
}

// start serves for the duration of the test, and returns the URL.
func start(t *testing.T, o Options) string {
	t.Helper()
	url, _ := startBoth(t, o)
	return url
}

// startBoth also returns the address for the controller.
func startBoth(t *testing.T, o Options) (url string, forController *net.TCPAddr) {
	t.Helper()
	plain, secure := listen(t), listen(t)
	if o.Credentials == nil {
		secure.Close()
		secure = nil
	} else {
		forController = secure.Addr().(*net.TCPAddr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- run(ctx, o, plain, secure) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-result)
	})
	return "http://" + plain.Addr().String(), forController
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener
}

// get returns the code 0 if the request fails, which fails the test but does not end it: tests also call it in other
// goroutines.
func get(t *testing.T, url string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if !assert.NoError(t, err) {
		return 0, ""
	}
	resp, err := http.DefaultClient.Do(req)
	if !assert.NoError(t, err) {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if !assert.NoError(t, err) {
		return 0, ""
	}
	return resp.StatusCode, string(body)
}

func TestReady(t *testing.T) {
	i := instance(t, fluxtest.Config{Rank: 1, Size: 2})
	url := start(t, Options{Socket: i.URI(), User: -1})
	for state, want := range map[string]int{
		flux.StateRun: 200, flux.StateQuorum: 200, flux.StateJoin: 503, flux.StateShutdown: 503, "": 503,
	} {
		i.SetState(state)
		var text string
		// The broker may be too slow to answer in time.
		require.Eventually(t, func() bool {
			var code int
			code, text = get(t, url+"/readyz")
			return code == want && (want == 200 || strings.Contains(text, "the broker is in state "+state))
		}, patience, time.Millisecond, "%s: %d: %s", state, want, text)
	}
	code, text := get(t, url+"/healthz")
	assert.Equal(t, 200, code)
	assert.Equal(t, "ok\n", text)
	assert.Equal(t, 1, i.Connections(), "one connection for all requests")

	code, text = get(t, url+"/metrics")
	assert.Equal(t, 404, code)
	assert.Contains(t, text, "index 0")
	code, _ = get(t, url+"/")
	assert.Equal(t, 404, code)
}

// TestFirstProbeWaits: a probe of a broker that is not online yet succeeds as soon as it is. Once it was online, a
// probe fails at once.
func TestFirstProbeWaits(t *testing.T) {
	i := instance(t, fluxtest.Config{Rank: 1, Size: 2})
	var state atomic.Value
	state.Store(flux.StateJoin)
	url := start(t, Options{Socket: i.URI(), User: -1})
	asked := make(chan struct{}, 1)
	var requests atomic.Int32
	i.Handle("state-machine.get", func(r *fluxtest.Request) {
		requests.Add(1)
		select {
		case asked <- struct{}{}:
		default:
		}
		r.Respond(map[string]any{"state": state.Load()})
	})
	var code int
	var wg sync.WaitGroup
	wg.Go(func() { code, _ = get(t, url+"/readyz") })
	<-asked
	state.Store(flux.StateRun)
	wg.Wait()
	assert.Equal(t, 200, code, "one request is enough")

	state.Store(flux.StateShutdown)
	before := requests.Load()
	code, text := get(t, url+"/readyz")
	assert.Equal(t, 503, code)
	assert.Contains(t, text, "the broker is in state shutdown")
	assert.Equal(t, before+1, requests.Load(), "a later probe does not wait")
}

// TestListenerBeforeRun: a probe that arrives before the server runs is answered by it.
func TestListenerBeforeRun(t *testing.T) {
	i := instance(t, fluxtest.Config{Rank: 1, Size: 2})
	i.SetState(flux.StateRun)
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err, "not refused")
	defer connection.Close()
	_, err = io.WriteString(connection, "GET /readyz HTTP/1.0\r\n\r\n")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Listener: listener, Socket: i.URI(), User: -1}) }()
	response, err := io.ReadAll(connection)
	require.NoError(t, err)
	assert.Contains(t, string(response), "200 OK")
	cancel()
	assert.NoError(t, <-ended)
}

// The lead is ready when it has its quorum: before that, no program runs.
func TestLeadIsReadyWithItsQuorum(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 4})
	i.SetOnline(set(t, "0-2"))
	i.Update(func() { i.State.Attrs["broker.quorum"] = "4" })
	url := start(t, Options{Socket: i.URI(), User: -1, Lead: true})
	i.SetState(flux.StateQuorum)
	const waits = "the lead broker waits for its quorum: 3 of 4 brokers are online"
	code, text := get(t, url+"/readyz")
	assert.Equal(t, 503, code)
	assert.Equal(t, waits+"\n", text)
	_, text = get(t, url+"/cause")
	assert.Contains(t, text, waits)
	i.SetState(flux.StateRun)
	code, text = get(t, url+"/readyz")
	assert.Equal(t, 200, code, text)
}

// Brokers start late, restart and reject connections.
func TestReadyFollowsTheBroker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "local")
	url := start(t, Options{Socket: path, User: -1})
	ready := func() int { code, _ := get(t, url+"/readyz"); return code }
	code, text := get(t, url+"/readyz")
	assert.Equal(t, 503, code)
	assert.Contains(t, text, "no connection to the broker")

	for range 3 {
		b, err := fluxtest.Listen(path)
		require.NoError(t, err)
		b.Handle("state-machine.get", func(r *fluxtest.Request) { r.Respond(map[string]string{"state": "run"}) })
		// The first request may fail because the old connection ends.
		require.Eventually(t, func() bool { return ready() == 200 }, patience, time.Millisecond)
		b.Close()
		require.Eventually(t, func() bool { return ready() == 503 }, patience, time.Millisecond)
	}

	b, err := fluxtest.Listen(path)
	require.NoError(t, err)
	defer b.Close()
	b.Refuse(syscall.EPERM)
	_, text = get(t, url+"/readyz")
	assert.Contains(t, text, "refused: operation not permitted")
}

// A broker that does not respond delays answers by at most one timeout, whatever the number of clients.
func TestBrokerThatHangs(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 1})
	hang := func(r *fluxtest.Request) { <-r.Gone() }
	i.Handle("state-machine.get", hang)
	url := start(t, Options{Socket: i.URI(), User: -1, Lead: true})
	begin := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			code, text := get(t, url+"/readyz")
			assert.Equal(t, 503, code)
			assert.Contains(t, text, "the broker does not respond")
		})
		wg.Go(func() {
			code, text := get(t, url+"/metrics")
			assert.Equal(t, 200, code)
			assert.Contains(t, text, "flux_up 0\n")
			assert.NotContains(t, text, "flux_nodes")
		})
	}
	wg.Wait()
	assert.Less(t, time.Since(begin), 20*askTimeout, "half of the time of sequential requests")
	code, _ := get(t, url+"/healthz")
	assert.Equal(t, 200, code)
}

var changing = regexp.MustCompile(`(flux_last_update_timestamp_seconds) \d+\.\d{3}`)

func TestMetrics(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4, GPUs: 1})
	i.SetOnline(set(t, "0-5"))
	i.Drain(set(t, "5"), control.Reason)
	i.Drain(set(t, "1"), "broken fan")
	i.SetQueues(flux.QueueStatus{Name: "batch", Started: true}, flux.QueueStatus{Name: "debug"})
	i.SetJobs(
		flux.Job{ID: 1, State: flux.JobRun, Queue: "batch", Ranks: set(t, "2-3")},
		flux.Job{ID: 2, State: flux.JobRun, Queue: "batch", Ranks: set(t, "4"), Cores: 1},
		flux.Job{ID: 3, State: flux.JobSched, Queue: "batch", Nodes: 2},
		flux.Job{ID: 4, State: flux.JobSched, Queue: "debug", Nodes: 8},
		flux.Job{ID: 5, State: flux.JobDepend, Queue: "batch", Nodes: 8},
		flux.Job{ID: 6, State: flux.JobInactive, Queue: "batch"},
		flux.Job{ID: 7, State: flux.JobNew, Queue: "batch", Nodes: 8},
	)
	dir := filepath.Join(t.TempDir(), "metrics")
	require.NoError(t, appmetric.Prepare(dir, -1, -1))
	for name, value := range map[string]string{"wanted": "12", "progress": "0.25"} {
		v, err := appmetric.Parse(name, value, time.Hour, time.Now())
		require.NoError(t, err)
		require.NoError(t, appmetric.Set(dir, v, time.Now()))
	}
	url := start(t, Options{Socket: i.URI(), User: -1, Lead: true, ApplicationMetrics: dir})
	var text string
	// The broker may be too slow to answer in time.
	require.Eventually(t, func() bool {
		var code int
		code, text = get(t, url+"/metrics")
		return code == 200 && strings.Contains(text, "\nflux_up 1\n")
	}, patience, time.Millisecond)
	golden.Check(t, "metrics.txt", []byte(changing.ReplaceAllString(text, "$1 0")))
}

// Jobs beyond the limit of the sum are reported.
func TestMetricsOfVeryManyJobs(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4, Old: true})
	jobs := make([]flux.Job, maxWaiting+3)
	for n := range jobs {
		jobs[n] = flux.Job{ID: flux.JobID(n + 1), State: flux.JobSched, Cores: 1}
	}
	client, err := flux.Dial(t.Context(), i.URI())
	require.NoError(t, err)
	defer client.Close()
	c, err := newCollector(t.Context(), client, true)
	require.NoError(t, err)
	for _, more := range []int{-1, 0, 3} {
		i.SetJobs(jobs[:maxWaiting+more]...)
		s, err := c.collect(t.Context())
		require.NoError(t, err)
		assert.Equal(t, max(0, more), s.uncounted)
		assert.Equal(t, min(maxWaiting, maxWaiting+more), s.demand.pendingCores)
		assert.Contains(t, string(exposition(s, nil)), fmt.Sprintf("\nflux_jobs_uncounted %d\n", max(0, more)))
	}
}

// Jobs of the journal are reported as they start and end, whatever their number.
func TestMetricsFollowJobs(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4})
	listed := false
	i.Handle("job-list.list", func(r *fluxtest.Request) { listed = true; r.Error(syscall.EPROTO, "") })
	client, err := flux.Dial(t.Context(), i.URI())
	require.NoError(t, err)
	defer client.Close()
	c, err := newCollector(t.Context(), client, true)
	require.NoError(t, err)
	jobs := make([]flux.Job, maxWaiting+3)
	for n := range jobs {
		jobs[n] = flux.Job{ID: flux.JobID(n + 1), State: flux.JobSched, Cores: 1}
	}
	for _, n := range []int{0, 1, len(jobs), 3, 0} {
		i.SetJobs(jobs[:n]...)
		s, err := c.collect(t.Context())
		require.NoError(t, err)
		assert.Equal(t, n, s.demand.pendingCores)
		assert.Zero(t, s.uncounted)
	}
	assert.False(t, listed)
}

// If the broker does not permit access to its journal, jobs are listed.
func TestMetricsWithoutJournal(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4})
	i.SetJobs(flux.Job{ID: 1, State: flux.JobSched, Nodes: 3})
	for name, answer := range map[string]fluxtest.Handler{
		"none":    nil,
		"refused": func(r *fluxtest.Request) { r.Error(syscall.EPERM, "Request requires owner credentials") },
		"old":     func(r *fluxtest.Request) { r.Respond(map[string]any{"events": []any{}}) },
	} {
		i.Handle("job-manager.events-journal", answer)
		broker := newConn(i.URI(), -1)
		e := newExporter(broker, "")
		s, err := e.snapshot(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, 3, s.demand.nodes, name)
		assert.False(t, e.collector.isStale(), name)
		broker.close()
	}
}

// A journal that has ended is opened again over a new connection.
func TestMetricsAfterTheJournalHasEnded(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4})
	i.Handle("job-manager.events-journal", func(r *fluxtest.Request) {
		r.Respond(map[string]any{"id": -1, "events": []any{}})
		r.Error(syscall.ENODATA, "")
	})
	broker := newConn(i.URI(), -1)
	defer broker.close()
	e := newExporter(broker, "")
	for n := range 3 {
		s, err := e.snapshot(t.Context())
		require.NoError(t, err)
		assert.Equal(t, n+1, i.Connections())
		// Both answers have arrived in order, so the state is known now or soon.
		require.Eventually(t, e.collector.isStale, patience, time.Millisecond)
		s.at = s.at.Add(-minInterval)
	}
}

// Versions of Flux have different states.
func TestStateOfAnotherVersion(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 1})
	url := start(t, Options{Socket: i.URI(), User: -1, Lead: true})
	i.SetState("config-sync")
	_, text := get(t, url+"/metrics")
	assert.Contains(t, text, "flux_broker_state{state=\"shutdown\"} 0\nflux_broker_state{state=\"config-sync\"} 1\n")
}

// Concurrent scrapes cause one collection, and no old numbers are served after a broker has ended.
func TestMetricsAreFresh(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 2})
	var mu sync.Mutex
	asked := 0
	i.Handle("state-machine.get", func(r *fluxtest.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		r.Respond(map[string]string{"state": "run"})
	})
	broker := newConn(i.URI(), -1)
	defer broker.close()
	e := newExporter(broker, "")
	e.interval = time.Hour // without a timeout
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := e.snapshot(t.Context())
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, asked)

	last := <-e.turn
	last.at = last.at.Add(-e.interval)
	e.turn <- last
	_, err := e.snapshot(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, asked, "it asks again after a while")

	last = <-e.turn
	last.at = last.at.Add(-e.interval)
	e.turn <- last
	i.Handle("resource.status", func(r *fluxtest.Request) { r.Error(syscall.EPROTO, "not now") })
	s, err := e.snapshot(t.Context())
	assert.ErrorContains(t, err, "collect metrics: resource.status: not now")
	assert.Nil(t, s)
}

func TestRunCannotListen(t *testing.T) {
	taken := listen(t).Addr().String()
	err := Run(t.Context(), Options{Addr: taken, Socket: "/nowhere"})
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, Run(ctx, Options{Addr: "127.0.0.1:0", Socket: "/nowhere"}))
}
