package faults_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/faults"
)

const (
	jobsPath     = "/apis/batch/v1/namespaces/ns/jobs"
	servicesPath = "/api/v1/services"
	statusPath   = "/apis/flux-framework.org/v1alpha2/namespaces/ns/miniclusters/a/status"
)

// server counts requests with their bodies, and streams lines to watches.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	lines  map[string]chan string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{lines: map[string]chan string{jobsPath: make(chan string, 10), servicesPath: make(chan string, 10)}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		s.mu.Lock()
		s.bodies = append(s.bodies, r.Method+" "+string(body))
		s.mu.Unlock()
		if r.URL.Query().Get("watch") == "" {
			_, _ = io.WriteString(w, "done")
			return
		}
		w.WriteHeader(http.StatusOK)
		flusher := http.NewResponseController(w)
		assert.NoError(t, flusher.Flush())
		for {
			select {
			case line := <-s.lines[r.URL.Path]:
				_, _ = io.WriteString(w, line+"\n")
				assert.NoError(t, flusher.Flush())
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.bodies...)
}

type client struct {
	*testing.T
	http *http.Client
	url  string
}

func newClient(t *testing.T, s *server) (*faults.Injector, *client) {
	t.Helper()
	broken := faults.New()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return broken, &client{T: t, http: &http.Client{Transport: broken.Wrap(transport)}, url: s.URL}
}

// answer is the result of a request.
type answer struct {
	code   int
	header http.Header
}

func (c *client) do(method, path, body string) (answer, error) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(c, err)
	response, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	require.NoError(c, err)
	return answer{response.StatusCode, response.Header}, nil
}

func (c *client) watch(path string) io.ReadCloser {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), http.MethodGet, c.url+path+"?watch=true", nil)
	require.NoError(c, err)
	response, err := c.http.Do(r)
	require.NoError(c, err)
	c.Cleanup(func() { _ = response.Body.Close() })
	return response.Body
}

func readLine(t *testing.T, from io.Reader) string {
	t.Helper()
	buffer := make([]byte, 100)
	n, err := from.Read(buffer)
	require.NoError(t, err)
	return strings.TrimSpace(string(buffer[:n]))
}

func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault  faults.Fault
		err    error
		code   int
		header string
		server []string
	}{
		"none":       {nil, nil, 200, "", []string{"POST 1", "POST 2", "POST 3"}},
		"fail":       {faults.Fail(), syscall.ECONNRESET, 0, "", []string{"POST 1", "POST 3"}},
		"lose":       {faults.LoseResponse(), syscall.ECONNRESET, 0, "", []string{"POST 1", "POST 2", "POST 3"}},
		"duplicate":  {faults.Duplicate(), nil, 200, "", []string{"POST 1", "POST 2", "POST 2", "POST 3"}},
		"delay":      {faults.Delay(time.Millisecond), nil, 200, "", []string{"POST 1", "POST 2", "POST 3"}},
		"conflict":   {faults.Conflict(), nil, 409, "", []string{"POST 1", "POST 3"}},
		"throttled":  {faults.TooManyRequests(7), nil, 429, "7", []string{"POST 1", "POST 3"}},
		"gone":       {faults.Gone(), nil, 410, "", []string{"POST 1", "POST 3"}},
		"in trouble": {faults.Answer(503, metav1.StatusReasonServiceUnavailable, "no"), nil, 503, "", []string{"POST 1", "POST 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			broken, c := newClient(t, s)
			var rule *faults.Rule
			if tc.fault != nil {
				rule = broken.Add(faults.All(faults.Writes, faults.Resource("jobs")), 2, tc.fault)
			}
			_, err := c.do(http.MethodGet, jobsPath, "")
			require.NoError(t, err, "reads do not count")
			_, err = c.do(http.MethodPut, statusPath, "")
			require.NoError(t, err, "other resources do not count")
			_, err = c.do(http.MethodPost, jobsPath, "1")
			require.NoError(t, err)

			got, err := c.do(http.MethodPost, jobsPath, "2")
			require.ErrorIs(t, err, tc.err)
			if tc.err == nil {
				assert.Equal(t, tc.code, got.code)
				assert.Equal(t, tc.header, got.header.Get("Retry-After"))
			}
			_, err = c.do(http.MethodPost, jobsPath, "3")
			require.NoError(t, err)
			assert.Equal(t, tc.server, s.got()[2:])
			if rule != nil {
				<-rule.Fired()
				assert.Equal(t, "create jobs", rule.Hit().String())
				assert.Equal(t, 3, rule.Seen())
				assert.True(t, rule.Remove())
			}
			assert.Equal(t, map[string]int{"create jobs": 3, "list jobs": 1, "update miniclusters/status": 1}, broken.Counts())
		})
	}
}

func TestEveryAndRemove(t *testing.T) {
	s := newServer(t)
	broken, c := newClient(t, s)
	rule := broken.Add(faults.Subresource("miniclusters", "status"), faults.Every, faults.Fail())
	unused := broken.Add(faults.Verb("delete"), 1, faults.Fail())
	for range 3 {
		_, err := c.do(http.MethodPut, statusPath, "")
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}
	assert.True(t, rule.Remove())
	assert.False(t, unused.Remove())
	_, err := c.do(http.MethodPut, statusPath, "")
	require.NoError(t, err)
	assert.Equal(t, 3, rule.Seen())
}

func TestHoldEndsWithTheRequest(t *testing.T) {
	s := newServer(t)
	broken, c := newClient(t, s)
	until := make(chan struct{})
	rule := broken.Add(faults.Writes, 1, faults.Hold(until))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+jobsPath, nil)
	require.NoError(t, err)
	go func() { <-rule.Fired(); cancel() }()
	_, err = c.http.Do(r) //nolint:bodyclose // no answer
	require.ErrorIs(t, err, context.Canceled)

	second := broken.Add(faults.Writes, 1, faults.Hold(until))
	go func() { <-second.Fired(); close(until) }()
	_, err = c.do(http.MethodPost, jobsPath, "held")
	require.NoError(t, err)
	assert.Equal(t, []string{"POST held"}, s.got())
}

// From the k-th request on, no request of a killed client reaches the server; the k-th may or may not.
func TestKill(t *testing.T) {
	for name, tc := range map[string]struct {
		fault faults.Fault
		want  int
	}{"before": {faults.Fail(), 1}, "after": {faults.LoseResponse(), 2}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			broken, c := newClient(t, s)
			watch := c.watch(jobsPath)
			rule := broken.KillAt(faults.Writes, 2, tc.fault)
			_, err := c.do(http.MethodPost, jobsPath, "1")
			require.NoError(t, err)
			_, err = c.do(http.MethodPost, jobsPath, "2")
			require.ErrorIs(t, err, syscall.ECONNRESET)
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				_, err = c.do(method, jobsPath, "3")
				require.ErrorContains(t, err, "the client is dead")
				require.NotErrorIs(t, err, syscall.ECONNRESET, "client-go would retry a read")
			}
			<-rule.Fired()
			_, err = watch.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			posts := 0
			for _, r := range s.got() {
				if strings.HasPrefix(r, "POST") {
					posts++
				}
			}
			assert.Equal(t, tc.want, posts)
		})
	}
}

func TestConcurrentRequestsAreCountedOnce(t *testing.T) {
	s := newServer(t)
	broken, c := newClient(t, s)
	rule := broken.Add(faults.Writes, 7, faults.Fail())
	var failed atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+jobsPath, nil)
			assert.NoError(t, err)
			response, err := c.http.Do(r)
			if err == nil {
				assert.NoError(t, response.Body.Close())
				return
			}
			assert.ErrorIs(t, err, syscall.ECONNRESET)
			failed.Add(1)
		})
	}
	wg.Wait()
	assert.Equal(t, int32(1), failed.Load())
	assert.Equal(t, 20, rule.Seen())
	assert.Len(t, s.got(), 19)
}

func TestCutWatches(t *testing.T) {
	s := newServer(t)
	broken, c := newClient(t, s)
	watch, other := c.watch(jobsPath), c.watch(servicesPath)
	assert.Equal(t, 2, broken.OpenWatches(faults.Watches))
	assert.Equal(t, 1, broken.CutWatches(faults.Resource("jobs")))
	_, err := watch.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 1, broken.OpenWatches(faults.Watches))
	s.lines[servicesPath] <- "two"
	assert.Equal(t, "two", readLine(t, other))
}

func TestHoldAndDelayWatches(t *testing.T) {
	s := newServer(t)
	broken, c := newClient(t, s)
	watch := c.watch(jobsPath)
	release := broken.HoldWatches(faults.Resource("jobs"))
	arrived := make(chan string, 1)
	go func() {
		buffer := make([]byte, 100)
		n, err := watch.Read(buffer)
		assert.NoError(t, err)
		arrived <- strings.TrimSpace(string(buffer[:n]))
	}()
	s.lines[jobsPath] <- "held"
	_, err := c.do(http.MethodGet, jobsPath, "")
	require.NoError(t, err, "only watches are held")
	select {
	case line := <-arrived:
		require.Fail(t, "it was not held", line)
	case <-time.After(20 * time.Millisecond):
	}
	release()
	assert.Equal(t, "held", <-arrived)

	const delay = 50 * time.Millisecond
	stop := broken.DelayWatches(faults.Watches, delay)
	sent := time.Now()
	s.lines[jobsPath] <- "late"
	assert.Equal(t, "late", readLine(t, watch))
	assert.GreaterOrEqual(t, time.Since(sent), delay)
	stop()
	s.lines[jobsPath] <- "prompt"
	assert.Equal(t, "prompt", readLine(t, watch))
}
