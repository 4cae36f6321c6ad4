package page

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// rules allow the metrics of a resource in a namespace: NAMESPACE:RESOURCE, with an empty namespace for all
// namespaces; or "nodes". A rule with an error makes the check fail.
type rules struct {
	sets.Set[string]
	err error
}

func (r rules) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if r.err != nil {
		return authorizer.DecisionDeny, "", r.err
	}
	if a.GetResource() == "nodes" && a.GetVerb() == "list" && r.Has("nodes") {
		return authorizer.DecisionAllow, "", nil
	}
	if a.GetUser().GetName() != "reader" || a.GetVerb() != "get" || a.GetAPIGroup() != "custom.metrics.k8s.io" || a.GetSubresource() != "*" || !a.IsResourceRequest() {
		return authorizer.DecisionDeny, "", nil
	}
	if r.HasAny(":"+a.GetResource(), a.GetNamespace()+":"+a.GetResource()) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// serve serves the page like an API server to a user called reader.
func serve(t testing.TB, w *world, r rules) (*httptest.Server, *handler) {
	t.Helper()
	template, err := newTemplate()
	require.NoError(t, err)
	h := newHandler(w.Recorder, template, access{authorizer: r})
	infos := request.RequestInfoFactory{APIPrefixes: sets.NewString("apis")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := infos.NewRequestInfo(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		ctx := request.WithUser(request.WithRequestInfo(r.Context(), info), &user.DefaultInfo{Name: "reader"})
		h.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	return server, h
}

const pages = "/apis/page.flux-framework.org/v1alpha1/"

func ask(t testing.TB, server *httptest.Server, method, path, accept string) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
	require.NoError(t, err)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(text)
}

func TestScopes(t *testing.T) {
	const mcs, svc = "miniclusters.flux-framework.org", "services"
	for name, c := range map[string]struct {
		rules  []string
		path   string
		status int
		has    []string
		hasNot []string
	}{
		"all":        {[]string{":" + mcs, ":" + svc}, "miniclusters", 200, []string{"filler", "solver", "cpu_remaining"}, []string{"You may not"}},
		"one of all": {[]string{"lab:" + mcs}, "miniclusters", 200, []string{"solver", "You may not"}, []string{"filler", "batch", "cpu_remaining"}},
		"one":        {[]string{"lab:" + mcs, "lab:" + svc}, "namespaces/lab/miniclusters", 200, []string{"solver", "cpu_remaining"}, []string{"filler", "All namespaces"}},
		"one namespace of a user who may see all": {[]string{":" + mcs}, "namespaces/lab/miniclusters", 200, []string{"solver", "All namespaces"}, []string{"filler"}},
		"another one":               {[]string{"lab:" + mcs, "lab:" + svc}, "namespaces/batch/miniclusters", 403, nil, []string{"filler"}},
		"one that does not exist":   {[]string{"no:" + mcs}, "namespaces/no/miniclusters", 200, []string{"no MiniClusters"}, []string{"solver"}},
		"nothing":                   {nil, "miniclusters", 403, []string{"you need the role view"}, nil},
		"the cluster only":          {[]string{":" + svc}, "miniclusters", 200, []string{"cpu_remaining", "no MiniClusters"}, []string{"solver"}},
		"something else":            {[]string{":" + mcs}, "pods", 404, nil, nil},
		"one object":                {[]string{":" + mcs}, "namespaces/lab/miniclusters/solver", 404, nil, nil},
		"another user in the query": {[]string{"lab:" + mcs}, "miniclusters?namespace=batch&minicluster=batch/filler", 200, []string{"no matching MiniClusters"}, []string{"filler</a>", "chart/batch"}},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := serve(t, tutorial(t), rules{Set: sets.New(c.rules...)})
			status, header, body := ask(t, server, http.MethodGet, pages+c.path, "")
			assert.Equal(t, c.status, status, body)
			assert.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
			for _, text := range c.has {
				assert.Contains(t, body, text)
			}
			for _, text := range c.hasNot {
				assert.NotContains(t, body, text)
			}
		})
	}
}

// TestBeforeTheFirstRecord checks that the server reports that it is starting, before it checks permissions.
func TestBeforeTheFirstRecord(t *testing.T) {
	w := newWorld(t)
	w.put(t, cluster("lab", "solver", 3, 5))
	server, _ := serve(t, w, rules{Set: sets.New("lab:miniclusters.flux-framework.org")})
	for _, path := range []string{"miniclusters", "namespaces/lab/miniclusters", "miniclusters?watch=true"} {
		status, header, body := ask(t, server, http.MethodGet, pages+path, "")
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Equal(t, "5", header.Get("Retry-After"))
		assert.Contains(t, body, "The server is starting")
	}
	w.after(0)
	status, _, body := ask(t, server, http.MethodGet, pages+"miniclusters", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, "solver")
}

// TestNoMiniCluster checks that a user who may see some namespace sees that there are no MiniClusters.
func TestNoMiniCluster(t *testing.T) {
	w := newWorld(t)
	w.after(0)
	server, _ := serve(t, w, rules{Set: sets.New("lab:miniclusters.flux-framework.org")})
	status, _, body := ask(t, server, http.MethodGet, pages+"miniclusters", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, "There are no MiniClusters.")
	status, _, _ = ask(t, server, http.MethodGet, pages+"namespaces/batch/miniclusters", "")
	assert.Equal(t, http.StatusForbidden, status)
}

func TestMethodsAndTypes(t *testing.T) {
	server, _ := serve(t, tutorial(t), rules{Set: sets.New(":miniclusters.flux-framework.org")})
	for _, c := range []struct {
		method, accept, query string
		status                int
	}{
		{http.MethodGet, "text/html,*/*;q=0.8", "", 200},
		{http.MethodHead, "", "", 200},
		{http.MethodGet, "application/json", "", 406},
		{http.MethodGet, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "?watch=true", 406},
		{http.MethodPost, "", "", 405},
		{http.MethodDelete, "", "", 405},
	} {
		status, _, body := ask(t, server, c.method, pages+"miniclusters"+c.query, c.accept)
		assert.Equal(t, c.status, status, "%v: %s", c, body)
	}
	broken, _ := serve(t, tutorial(t), rules{err: errors.New("no answer")})
	status, _, body := ask(t, broken, http.MethodGet, pages+"miniclusters", "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.NotContains(t, body, "no answer")
}

// reader reads a stream.
type reader struct {
	status int
	header http.Header
	// next waits for an event; it returns false if there are no more events.
	next func() (string, bool)
	// problem is the error that ended the stream, if any.
	problem, close func() error
}

// open opens a stream until the test ends.
func open(t testing.TB, server *httptest.Server) reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+pages+"miniclusters?watch=true", http.NoBody)
	require.NoError(t, err)
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return reader{response.StatusCode, response.Header, func() (string, bool) {
		var event strings.Builder
		for lines.Scan() {
			if lines.Text() == "" {
				return event.String(), true
			}
			event.WriteString(lines.Text() + "\n")
		}
		return event.String(), false
	}, lines.Err, response.Body.Close}
}

func TestStreamSendsWhatChanged(t *testing.T) {
	w := tutorial(t)
	server, h := serve(t, w, rules{Set: sets.New(":miniclusters.flux-framework.org", ":services")})
	stream := open(t, server)
	require.Equal(t, http.StatusOK, stream.status)
	assert.Equal(t, "text/event-stream", stream.header.Get("Content-Type"))
	assert.Equal(t, "no-store", stream.header.Get("Cache-Control"))
	event, _ := stream.next()
	assert.Equal(t, "retry: 500\n", event)
	event, _ = stream.next()
	for _, part := range []string{`<p id="moment">`, `<section id="capacity"`, `<div id="miniclusters">`, `<section id="sizes"`, `<section id="changes"`} {
		assert.Contains(t, event, "data: "+part)
	}
	w.after(0) // nothing changed: only a keep-alive is sent
	event, _ = stream.next()
	assert.Empty(t, event)
	w.addChanges(change{at: w.at(), namespace: "lab", name: "solver", text: "Something"})
	w.after(0)
	event, _ = stream.next()
	assert.Contains(t, event, `<td>Something</td>`)
	assert.NotContains(t, event, `id="capacity"`)

	// The streams end with the recorder.
	close(w.ended)
	_, more := stream.next()
	assert.False(t, more)
	require.Eventually(t, func() bool { return len(h.streams.slots) == 0 }, time.Minute, time.Millisecond)
}

func TestStreamsAreBounded(t *testing.T) {
	w := tutorial(t)
	server, h := serve(t, w, rules{Set: sets.New(":miniclusters.flux-framework.org")})
	h.streams.slots = make(chan struct{}, 2)
	for range 2 {
		_, more := open(t, server).next()
		require.True(t, more)
	}
	refused := open(t, server)
	assert.Equal(t, http.StatusServiceUnavailable, refused.status)
	assert.Equal(t, "30", refused.header.Get("Retry-After"))
	status, _, _ := ask(t, server, http.MethodGet, pages+"miniclusters", "")
	assert.Equal(t, http.StatusOK, status, "the page itself is still served")
}

// TestStreamsEnd checks that a stream ends after its maximal life, when the reader disconnects, and when the reader
// is too slow.
func TestStreamsEnd(t *testing.T) {
	serving := func(t *testing.T, life, patience time.Duration) (*httptest.Server, func() bool) {
		w := tutorial(t)
		server, h := serve(t, w, rules{Set: sets.New(":miniclusters.flux-framework.org", ":services")})
		h.streams.life, h.streams.timeout = life, patience
		return server, func() bool {
			w.after(time.Minute)
			return len(h.streams.slots) == 0
		}
	}
	t.Run("after a while", func(t *testing.T) {
		server, none := serving(t, time.Millisecond, time.Minute)
		stream := open(t, server)
		for more := true; more; {
			_, more = stream.next()
		}
		require.Eventually(t, none, time.Minute, time.Millisecond)
	})
	t.Run("when the reader disconnects", func(t *testing.T) {
		server, none := serving(t, time.Hour, time.Minute)
		require.NoError(t, open(t, server).close())
		require.Eventually(t, none, time.Minute, time.Millisecond)
	})
	t.Run("also over HTTP/2, without events to send", func(t *testing.T) {
		one, _ := serving(t, 3*time.Second, time.Second)
		server := httptest.NewUnstartedServer(one.Config.Handler)
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		stream := open(t, server)
		for more := true; more; {
			_, more = stream.next()
		}
		assert.NoError(t, stream.problem(), "it ended regularly")
	})
	t.Run("when the reader is too slow", func(t *testing.T) {
		server, none := serving(t, time.Hour, time.Second) // long enough for the start on a busy machine
		open(t, server)
		require.Eventually(t, none, time.Minute, time.Millisecond, "the events exceed the buffers of the connection")
	})
}
