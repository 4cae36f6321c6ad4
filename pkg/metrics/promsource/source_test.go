package promsource

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	componentmetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxlisters "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// server is a fake Prometheus with given answers.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc
	asked   map[string]int
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{answers: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v1/query" {
		http.NotFound(w, r)
		return
	}
	query := r.PostFormValue("query")
	s.mu.Lock()
	s.asked[query]++
	answer := s.answers[query]
	s.mu.Unlock()
	if answer == nil {
		refuse(http.StatusBadRequest, "bad_data", "1:5: parse error: unclosed left parenthesis")(w, r)
		return
	}
	answer(w, r)
}

func (s *server) answer(query string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[query] = answer
}

func (s *server) times(query string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[query]
}

func refuse(code int, kind, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": message})
	}
}

// hang does not respond until the client disconnects.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// says responds with the given text after "data".
func says(data string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"status":"success","data":%s}`, data) }
}

const at = 1_700_000_000

// patience is a timeout that suffices on a busy machine.
const patience = time.Minute

// vector returns a vector with series of labels (a=b,c=d) and values.
func vector(series ...string) http.HandlerFunc {
	type sample struct {
		Metric map[string]string `json:"metric"`
		Value  [2]any            `json:"value"`
	}
	samples := []sample{}
	for _, s := range series {
		text, value, _ := strings.Cut(s, " ")
		set, _ := labels.ConvertSelectorToLabelsMap(text)
		samples = append(samples, sample{Metric: set, Value: [2]any{at, value}})
	}
	text, _ := json.Marshal(map[string]any{"resultType": "vector", "result": samples})
	return says(string(text))
}

// world is a source that the test loads.
type world struct {
	// anyTime allows values with any time.
	anyTime bool
	*Source
	*server
	registry componentmetrics.KubeRegistry
	pods     map[string]labels.Set // by NAMESPACE/NAME
}

func newWorld(t testing.TB) *world {
	t.Helper()
	clusters := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, name := range []string{"one", "two"} {
		require.NoError(t, clusters.Add(&v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"team": name}}}))
	}
	w := &world{server: newServer(t), registry: componentmetrics.NewKubeRegistry(), pods: map[string]labels.Set{}}
	prometheus, err := Connect(Connection{URL: w.URL})
	require.NoError(t, err)
	w.Source, err = New(t.Context(), Options{
		Kube: fake.NewClientset(), Namespace: "system", ConfigMap: "queries", Prometheus: prometheus,
		Timeout: patience, Interval: time.Hour, Registry: w.registry,
		Pods: func(namespace string, selector labels.Selector) []string {
			var names []string
			for key, set := range w.pods {
				if ns, name, _ := strings.Cut(key, "/"); ns == namespace && selector.Matches(set) {
					names = append(names, name)
				}
			}
			return names
		},
		MiniClusters: fluxlisters.NewMiniClusterLister(clusters), Synced: func() bool { return true },
		Others: []metrics.Source{builtin{}},
	})
	require.NoError(t, err)
	return w
}

// builtin is a source with metrics of other names.
type builtin struct{ metrics.Source }

func (builtin) Custom() []metrics.Info {
	return []metrics.Info{{Resource: miniClusters.resource(), Metric: "size_demanded"}, {Resource: services.resource(), Metric: "size_demanded"}}
}
func (builtin) External() []string { return []string{"size_demanded"} }

// ask queries a metric: of RESOURCE/NAME or RESOURCE/*, or an external one without either.
func (w *world) ask(t testing.TB, path, metric, selector, metricSelector string) (string, error) {
	t.Helper()
	parse := func(text string) labels.Selector {
		s, err := labels.Parse(text)
		require.NoError(t, err)
		return s
	}
	resource, name, _ := strings.Cut(path, "/")
	var values []metrics.Value
	var err error
	if resource == string(external) {
		values, err = w.ExternalValues(t.Context(), metrics.ExternalQuery{Namespace: "ns", Metric: metric, Selector: parse(metricSelector)})
	} else {
		values, err = w.CustomValues(t.Context(), metrics.Query{
			Info: metrics.Info{Resource: object(resource).resource(), Metric: metric}, Namespace: "ns",
			Name: strings.TrimPrefix(name, "*"), Selector: parse(selector), MetricSelector: parse(metricSelector),
		})
	}
	var texts []string
	for _, v := range values {
		if !w.anyTime {
			assert.EqualValues(t, at, v.At.Unix(), "values have the time of the sample")
		}
		text := v.Quantity.String()
		if resource != string(external) {
			assert.Equal(t, "ns", v.Namespace)
			text = v.Kind.Kind + " " + v.Name + "=" + text
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " "), err
}

func (w *world) state(t testing.TB) string {
	t.Helper()
	var texts []string
	for _, s := range states() {
		n, err := testutil.GetGaugeMetricValue(w.observe.queries.WithLabelValues(string(s)))
		if !assert.NoError(t, err) { // not require: it also runs in another goroutine
			return err.Error()
		}
		texts = append(texts, fmt.Sprintf("%s %g", s, n))
	}
	return strings.Join(texts, ", ")
}

// counts waits until the metric has the expected values, since a run is counted after its waiting callers have got
// the answer.
func (w *world) counts(t testing.TB, want string) {
	t.Helper()
	assert.Eventually(t, func() bool { return strings.Contains(w.state(t), want) }, patience, time.Millisecond, want)
}

func (w *world) set(t testing.TB, entries map[string]string) {
	t.Helper()
	w.load(t.Context(), entries, nil)
}

func TestValues(t *testing.T) {
	w := newWorld(t)
	w.answer("pods", vector("namespace=ns,pod=a 0.5", "namespace=ns,pod=b 2", "namespace=ns,pod=nan NaN", "namespace=ns,pod=inf +Inf",
		"namespace=other,pod=a 7", "namespace=ns,pod=not-selected 100", "pod=nowhere 1"))
	w.answer("services", vector("namespace=ns,service=web,verb=GET 3.0334", "namespace=ns,service=web,verb=PUT 1", "namespace=ns,service=db 4"))
	w.answer("clusters", vector("ns=ns,name=one 1", "ns=ns,name=gone 2"))
	w.answer("external", vector("queue=a 1.5", "queue=b 2", "queue=c NaN"))
	w.answer("tenants", vector("tenant=ns,queue=a 1", "tenant=other,queue=a 2"))
	w.answer("scalar", says(`{"resultType":"scalar","result":[1700000000,"42"]}`))
	w.answer("empty", vector())
	w.set(t, map[string]string{
		"http_requests":    "query: pods\nobject: pods",
		"by-service":       "query: services\nobject: services\nmetric: http_requests",
		"nodes_wanted":     "query: clusters\nobject: miniclusters\nnamespaceLabel: ns\nnameLabel: name",
		"queue_length":     "query: external\nobject: external",
		"queue_of_tenants": "query: tenants\nobject: external\nnamespaceLabel: tenant",
		"constant":         "query: scalar\nobject: external",
		"nothing":          "query: empty\nobject: pods",
		"nothing-at-all":   "query: empty\nobject: external",
	})
	for key, set := range map[string]string{"ns/a": "app=x", "ns/b": "app=x", "ns/nan": "app=x,broken=yes", "ns/inf": "broken=yes", "ns/unscraped": "app=x,new=yes", "other/a": "app=x", "ns/not-selected": "app=y"} {
		w.pods[key], _ = labels.ConvertSelectorToLabelsMap(set)
	}
	for _, tc := range []struct {
		path, metric, selector, labels string
		want, err                      string
	}{
		{path: "pods/a", metric: "http_requests", want: "Pod a=500m"},
		{path: "pods/*", metric: "http_requests", selector: "app=y", want: "Pod not-selected=100"},
		{path: "pods/*", metric: "http_requests", selector: "app=x,!broken,!new", want: "Pod a=500m Pod b=2"},
		{path: "pods/*", metric: "http_requests", selector: "app=none", want: ""},
		{path: "pods/nan", metric: "http_requests", err: `query http_requests of ConfigMap system/queries: no value for Pod ns/nan: the value of {namespace="ns", pod="nan"} is not a number (NaN)`},
		{path: "pods/*", metric: "http_requests", selector: "broken", err: "out of range: +Inf"},
		{path: "pods/*", metric: "http_requests", selector: "new", err: `no value for Pod ns/unscraped: none of the 6 series in the result belongs to it; series {pod="nowhere"} has no label namespace`},
		{path: "pods/*", metric: "nothing", selector: "app=x", err: "the result is empty\nno value for Pod ns/"},
		{path: "pods/*", metric: "nothing", selector: "", err: "and 3 more errors"},
		{path: "pods/*", metric: "unknown", want: ""},

		{path: "services/db", metric: "http_requests", want: "Service db=4"},
		{path: "services/web", metric: "http_requests", labels: "verb=GET", want: "Service web=3033m"},
		{path: "services/web", metric: "http_requests", err: `query by-service of ConfigMap system/queries: an object must have one series: Service ns/web has 2, such as {namespace="ns", service="web", verb="GET"} and {namespace="ns", service="web", verb="PUT"}; aggregate them, as in sum by (namespace, service) (...)`},
		{path: "services/*", metric: "http_requests", err: "an object must have one series"},
		{path: "services/*", metric: "http_requests", labels: "verb=PUT", want: "Service web=1"},
		{path: "services/*", metric: "http_requests", labels: "verb notin (GET)", want: "Service db=4 Service web=1"},
		{path: "services/web", metric: "http_requests", labels: "verb=POST", err: "none of the 3 series in the result belongs to it and matches verb=POST"},
		{path: "services/gone", metric: "http_requests", err: "no value for Service ns/gone: none of the 3 series in the result belongs to it"},
		{path: "services/*", metric: "http_requests", selector: "app=x", err: "Services can't be selected by labels: request one"},

		{path: "miniclusters/one", metric: "nodes_wanted", want: "MiniCluster one=1"},
		{path: "miniclusters/two", metric: "nodes_wanted", err: "no value for MiniCluster ns/two"},
		{path: "miniclusters/gone", metric: "nodes_wanted", want: ""},
		{path: "miniclusters/*", metric: "nodes_wanted", want: "MiniCluster one=1"},
		{path: "miniclusters/*", metric: "nodes_wanted", selector: "team=two", err: "no value for MiniCluster ns/two"},

		{path: "external", metric: "queue_length", labels: "queue in (a,b)", want: "1500m 2"},
		{path: "external", metric: "queue_length", err: `the value of {queue="c"} is not a number`},
		{path: "external", metric: "queue_length", labels: "queue=d", err: "no value: none of the 3 series in the result belongs to it and matches queue=d"},
		{path: "external", metric: "queue_of_tenants", want: "1"},
		{path: "external", metric: "constant", want: "42"},
		{path: "external", metric: "nothing-at-all", err: "no value: the result is empty"},
	} {
		got, err := w.ask(t, tc.path, tc.metric, tc.selector, tc.labels)
		if tc.err == "" {
			require.NoError(t, err, "%+v", tc)
		} else {
			require.ErrorContains(t, err, tc.err, "%+v", tc)
		}
		assert.Equal(t, tc.want, got, "%+v", tc)
	}
	_, err := w.ask(t, "services/*", "http_requests", "app=x", "")
	assert.True(t, apierrors.IsBadRequest(err), "%v", err)
	for query := range w.answers {
		if w.times(query) != 1 {
			assert.Contains(t, []string{"empty"}, query, "one answer serves all requests")
		}
	}
	w.counts(t, "new 0, ok 8, failed 0, invalid 0")
}

func TestFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
		state  string
	}{
		"no PromQL":    {nil, "the query is invalid: 1:5: parse error: unclosed left parenthesis", "invalid 1"},
		"a range":      {says(`{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]}`), "it returns a range of samples; apply a function such as rate()", "invalid 1"},
		"a scalar":     {says(`{"resultType":"scalar","result":[1700000000,"42"]}`), "it returns a single number instead of one for each of the pods", "invalid 1"},
		"a string":     {says(`{"resultType":"string","result":[1700000000,"x"]}`), "string", "failed 1"},
		"a histogram":  {says(`{"resultType":"vector","result":[{"metric":{"pod":"a"},"histogram":[1700000000,{"count":"1","sum":"1","buckets":[]}]}]}`), "is a histogram instead of a number", "invalid 1"},
		"too much":     {refuse(http.StatusUnprocessableEntity, "execution", "query processing would load too many samples into memory"), "execution: query processing would load too many samples", "failed 1"},
		"its timeout":  {refuse(http.StatusServiceUnavailable, "timeout", "query timed out in expression evaluation"), `"error":"query timed out in expression evaluation"`, "failed 1"},
		"unauthorized": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }, "401", "failed 1"},
		"broken":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }, "502", "failed 1"},
		"elsewhere":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, "302", "failed 1"},
		"no JSON":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "the Prometheus server returned an error", "failed 1"},
		"no result":    {says(`{}`), "Prometheus", "failed 1"},
		"no sample":    {says(`{"resultType":"vector","result":[null]}`), "Prometheus", "failed 1"},
		"a warning": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["a store is down"]}`)
		}, "a store is down", "failed 1"},
		"it hangs":               {hang, "the Prometheus server did not respond in time", "failed 1"},
		"an incomplete response": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "failed to query Prometheus", "failed 1"},
		"an endless response": {func(w http.ResponseWriter, _ *http.Request) {
			for line := strings.Repeat("x", 1<<20); ; {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		}, "larger than 4 MiB", "failed 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer("q", tc.answer)
			w.answer("good", vector("namespace=ns,pod=a 1"))
			if name == "it hangs" { // with a short timeout; other cases need a long one on a busy machine
				w.runner.timeout = 50 * time.Millisecond
				w.set(t, map[string]string{"m": "query: q\nobject: pods"})
				_, err := w.ask(t, "pods/a", "m", "", "")
				require.Error(t, err)
				w.runner.timeout = patience
			}
			w.set(t, map[string]string{"m": "query: q\nobject: pods", "other": "query: good\nobject: pods"})
			_, err := w.ask(t, "pods/a", "m", "", "")
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "query m of ConfigMap system/queries: ")
			got, err := w.ask(t, "pods/a", "other", "", "")
			require.NoError(t, err)
			assert.Equal(t, "Pod a=1", got, "other queries are not affected")
			w.counts(t, tc.state)
		})
	}
}

// TestAnAnswerIsUsedForAnInterval checks that a query runs again after the interval, and that an old answer does not
// hide its failure.
func TestAnAnswerIsUsedForAnInterval(t *testing.T) {
	w := newWorld(t)
	w.answer("q", vector("namespace=ns,pod=a 1"))
	w.set(t, map[string]string{"m": "query: q\nobject: pods"})
	for range 10 {
		got, err := w.ask(t, "pods/a", "m", "", "")
		require.NoError(t, err)
		assert.Equal(t, "Pod a=1", got)
	}
	assert.Equal(t, 1, w.times("q"))

	w.runner.interval = 0
	w.answer("q", vector("namespace=ns,pod=a 2"))
	got, err := w.ask(t, "pods/a", "m", "", "")
	require.NoError(t, err)
	assert.Equal(t, "Pod a=2", got)
	w.answer("q", refuse(http.StatusServiceUnavailable, "timeout", "too slow"))
	_, err = w.ask(t, "pods/a", "m", "", "")
	require.ErrorContains(t, err, "too slow")
	w.answer("q", vector("namespace=ns,pod=b 3"))
	_, err = w.ask(t, "pods/a", "m", "", "")
	require.ErrorContains(t, err, "no value for Pod ns/a", "a series that no longer exists is not kept")
	assert.Equal(t, 4, w.times("q"))
}

// TestEmptyAndWarnings checks that a query can define the value of an object without a series, and accept warnings.
func TestEmptyAndWarnings(t *testing.T) {
	w := newWorld(t)
	w.anyTime = true
	w.answer("none", says(`{"resultType":"vector","result":[]}`))
	w.answer("partial", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"namespace":"ns","pod":"a"},"value":[%d,"1"]}]},
			"warnings":["a store is down"]}`, at)
	})
	w.set(t, map[string]string{
		"none":     "{query: none, object: services, empty: 0}",
		"external": "{query: none, object: external, empty: 2.5}",
		"strict":   "{query: partial, object: pods, warnings: reject}",
		"tolerant": "{query: partial, object: pods, warnings: accept, empty: 7}",
		"wrong":    "{query: none, object: pods, warnings: ignore}",
		"huge":     "{query: none, object: pods, empty: 1e16}",
	})
	for path, want := range map[string]string{
		"services/web none": "Service web=0", "external external": "2500m", "pods/a tolerant": "Pod a=1", "pods/b tolerant": "Pod b=7",
	} {
		name, metric, _ := strings.Cut(path, " ")
		got, err := w.ask(t, name, metric, "", "")
		require.NoError(t, err, path)
		assert.Contains(t, got, want, path)
	}
	for metric, want := range map[string]string{
		"strict": "the Prometheus server returned a warning: a store is down", "wrong": `warnings: "ignore": must be reject or accept`, "huge": "empty: 1e+16: must be at most 1e+15",
	} {
		_, err := w.ask(t, "pods/a", metric, "", "")
		require.ErrorContains(t, err, want)
	}
}

// TestPromQLInfo checks that infos, which Prometheus before version 3 returns as warnings, are ignored.
func TestPromQLInfo(t *testing.T) {
	w := newWorld(t)
	w.answer("q", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"namespace":"ns","pod":"a"},"value":[%d,"1"]}]},
			"warnings":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"http_requests\" (1:32)"]}`, at)
	})
	w.set(t, map[string]string{"m": "query: q\nobject: pods"})
	got, err := w.ask(t, "pods/a", "m", "", "")
	require.NoError(t, err)
	assert.Equal(t, "Pod a=1", got)
}

// TestFailedQueriesAreTriedAgain checks that the state of a failed query is updated without requests.
func TestFailedQueriesAreTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.runner.interval = 0
	w.answer("q", refuse(http.StatusServiceUnavailable, "timeout", "it starts"))
	w.answer("good", vector("namespace=ns,pod=a 1"))
	w.set(t, map[string]string{"m": "query: q\nobject: pods", "other": "query: good\nobject: pods", "wrong": "7"})
	w.counts(t, "new 0, ok 1, failed 1, invalid 1")
	w.answer("q", vector("namespace=ns,pod=a 1"))
	w.retryFailed(t.Context())
	w.counts(t, "new 0, ok 2, failed 0, invalid 1")
	assert.Equal(t, 1, w.times("good"))
	assert.Nil(t, w.queries["m"].before.answer, "the previous run does not keep its answer")
}

// TestOneRunForAll checks that callers wait for a query in progress, and that it continues if one of them stops
// waiting.
func TestOneRunForAll(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.answer("q", func(rw http.ResponseWriter, r *http.Request) {
		<-release
		vector("namespace=ns,pod=a 1")(rw, r)
	})
	w.set(t, map[string]string{"m": "query: q\nobject: pods"})
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err := w.CustomValues(gone, metrics.Query{Info: metrics.Info{Resource: pods.resource(), Metric: "m"}, Namespace: "ns", Name: "a"})
	require.ErrorIs(t, err, context.Canceled)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			got, err := w.ask(t, "pods/a", "m", "", "")
			assert.NoError(t, err)
			assert.Equal(t, "Pod a=1", got)
		})
	}
	close(release)
	group.Wait()
	assert.Equal(t, 1, w.times("q"))
}

// TestSoManyAtATime checks that queries that do not respond delay others by at most their timeout.
func TestSoManyAtATime(t *testing.T) {
	w := newWorld(t)
	w.runner.timeout = 100 * time.Millisecond
	w.answer("q", vector())
	entries := map[string]string{}
	for i := range concurrency {
		w.runner.slots <- struct{}{} // all slots are in use
		entries[fmt.Sprintf("m%d", i)] = "query: q\nobject: pods"
	}
	w.set(t, entries)
	_, err := w.ask(t, "pods/a", "m0", "", "")
	require.ErrorContains(t, err, "timed out waiting for other queries")
	assert.Zero(t, w.times("q"))
}

func TestWrongEntriesSkipOnlyThemselves(t *testing.T) {
	w := newWorld(t)
	w.answer("good", vector("namespace=ns,pod=a 1"))
	w.load(t.Context(), map[string]string{
		"a-good":        "query: good\nobject: pods",
		"broken":        "sum(up",
		"half":          "query: good\nobject: external\ninterval: 3s",
		"size_demanded": "query: good\nobject: miniclusters",
		"free":          "query: good\nobject: pods\nmetric: size_demanded",
		"second":        "query: good\nobject: pods\nmetric: a-good",
	}, map[string][]byte{"binary": {1}})
	for _, metric := range []string{"a-good", "size_demanded"} {
		got, err := w.ask(t, "pods/a", metric, "", "")
		require.NoError(t, err)
		assert.Equal(t, "Pod a=1", got)
	}
	for _, tc := range []struct{ path, metric, want string }{
		{"pods/a", "broken", "query broken of ConfigMap system/queries: must be a YAML document"},
		{"miniclusters/one", "broken", "must be a YAML document"},
		{"external", "broken", "must be a YAML document"},
		{"services/*", "binary", "instead of binaryData"},
		{"external", "half", `query half of ConfigMap system/queries: unknown field "interval"`},
	} {
		_, err := w.ask(t, tc.path, tc.metric, "", "")
		require.ErrorContains(t, err, tc.want)
	}
	require.ErrorContains(t, w.queries["size_demanded"].invalid, "metric size_demanded of miniclusters is built in")
	require.ErrorContains(t, w.queries["second"].invalid, "entry a-good already defines metric a-good of pods")
	got, err := w.ask(t, "miniclusters/one", "size_demanded", "", "")
	require.NoError(t, err)
	assert.Empty(t, got, "metrics of other sources are not replaced")
	assert.Contains(t, w.state(t), "invalid 5")
	assert.ElementsMatch(t, []metrics.Info{
		{Resource: pods.resource(), Metric: "a-good"}, {Resource: pods.resource(), Metric: "size_demanded"},
		{Resource: pods.resource(), Metric: "broken"}, {Resource: services.resource(), Metric: "broken"}, {Resource: miniClusters.resource(), Metric: "broken"},
		{Resource: pods.resource(), Metric: "binary"}, {Resource: services.resource(), Metric: "binary"}, {Resource: miniClusters.resource(), Metric: "binary"},
	}, w.Custom())
	assert.ElementsMatch(t, []string{"broken", "binary", "half"}, w.External())
}

func TestAChangeKeepsTheOthers(t *testing.T) {
	w := newWorld(t)
	for _, q := range []string{"one", "two"} {
		w.answer(q, vector("namespace=ns,pod=a 1"))
	}
	w.set(t, map[string]string{"a": "query: one\nobject: pods", "b": "query: two\nobject: pods"})
	get := func(metric string) error {
		_, err := w.ask(t, "pods/a", metric, "", "")
		return err
	}
	require.NoError(t, get("a"))
	require.NoError(t, get("b"))
	w.set(t, map[string]string{"a": "query: one\nobject: pods", "b": "nonsense"})
	require.NoError(t, get("a"))
	require.ErrorContains(t, get("b"), "must be a YAML document", "an old definition is not used either")
	w.set(t, map[string]string{"a": "query: one\nobject: pods", "b": "query: two\nobject: pods"})
	require.NoError(t, get("b"))
	assert.Equal(t, 1, w.times("one"), "an unchanged query keeps its answer")
	assert.Equal(t, 2, w.times("two"))
	w.load(t.Context(), nil, nil)
	assert.Empty(t, w.Custom())
	assert.Equal(t, "new 0, ok 0, failed 0, invalid 0", w.state(t))
}

// TestNothingIsPutIntoAQuery checks that Prometheus gets the text of the administrator unchanged, whatever the
// request.
func TestNothingIsPutIntoAQuery(t *testing.T) {
	w := newWorld(t)
	const query = `sum by (namespace, pod) (up{a="$1 %s {{.}} <<.GroupBy>>"})`
	w.answer(query, vector("namespace=ns,pod=a 1"))
	w.set(t, map[string]string{"m": "query: '" + query + "'\nobject: pods"})
	w.runner.interval = 0
	for _, name := range []string{"a", `"} or vector(1) #`, "$1", "{{.}}"} {
		_, _ = w.CustomValues(t.Context(), metrics.Query{
			Info: metrics.Info{Resource: pods.resource(), Metric: "m"}, Namespace: `"}`, Name: name,
			Selector: labels.Everything(), MetricSelector: labels.SelectorFromSet(labels.Set{"pod": name}),
		})
	}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	for asked := range w.asked {
		assert.Equal(t, query, asked)
	}
}

func TestQuantity(t *testing.T) {
	for value, want := range map[float64]string{
		0.5: "500m", 3.0334: "3033m", 0.0005: "1m", 0.0004: "0", -1.5: "-1500m", 1e6: "1M", 4.25: "4250m",
		9e12: "9T", 9.1e12: "9100G", 1e15: "1P",
	} {
		s := series{value: value}
		got, err := s.quantity()
		require.NoError(t, err)
		assert.Equal(t, want, got.String(), value)
	}
	for _, value := range []float64{1.1e15, -1.1e15, 1.7e18, 1e300} {
		_, err := (&series{value: value}).quantity()
		require.ErrorContains(t, err, "out of range", "an autoscaler would read it as 0")
	}
}

func TestKinds(t *testing.T) {
	assert.Equal(t, v1alpha2.Resource("miniclusters"), miniClusters.resource())
	assert.Equal(t, schema.GroupVersionKind{Version: "v1", Kind: "Service"}, services.kind())
}
