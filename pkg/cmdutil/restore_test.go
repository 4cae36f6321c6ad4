package cmdutil

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// restoredServer is an API server with one ConfigMap and a resource version that a restore
// lowers. A watch from a later version shows nothing.
type restoredServer struct {
	mu      sync.Mutex
	version int
	lists   int
	cut     chan struct{} // closed to end all watches
}

func (s *restoredServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	version, cut := s.version, s.cut
	if r.URL.Query().Get("limit") == "1" {
		s.lists++
	}
	s.mu.Unlock()
	if r.URL.Query().Get("watch") != "true" {
		_, _ = fmt.Fprintf(w, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"%[1]d"},`+
			`"items":[{"metadata":{"name":"a","namespace":"b","resourceVersion":"%[1]d"}}]}`, version)
		return
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		w.WriteHeader(http.StatusUnprocessableEntity) // as servers without this feature
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-cut:
	case <-r.Context().Done():
	}
}

// restore cuts all watches and sets the version.
func (s *restoredServer) restore(version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.cut)
	s.version, s.cut = version, make(chan struct{})
}

func (s *restoredServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

// Informers list again when the server was restored, and only then.
func TestInformersAfterARestore(t *testing.T) {
	server := &restoredServer{version: 1000, cut: make(chan struct{})}
	test := httptest.NewServer(server)
	t.Cleanup(test.Close)
	client, err := kubernetes.NewForConfig(WithRestoreDetection(t.Context(), &rest.Config{Host: test.URL}))
	require.NoError(t, err)
	factory := informers.NewSharedInformerFactory(client, 0)
	lister := factory.Core().V1().ConfigMaps().Lister()
	factory.StartWithContext(t.Context())
	t.Cleanup(factory.Shutdown)
	factory.WaitForCacheSync(t.Context().Done())
	seen := func(version string) func() bool {
		return func() bool {
			got, err := lister.ConfigMaps("b").Get("a")
			return err == nil && got.ResourceVersion == version
		}
	}
	require.True(t, seen("1000")())
	// client-go takes a watch of less than a second without events for an error, and lists again.
	const long = 1200 * time.Millisecond
	require.Never(t, func() bool { return server.asked() > 0 }, long, 50*time.Millisecond, "nothing is asked without an interruption")

	server.restore(1001)
	require.Eventually(t, func() bool { return server.asked() == 1 }, time.Minute, 10*time.Millisecond)
	assert.Never(t, seen("1001"), long, 50*time.Millisecond, "the watch continues")

	server.restore(500)
	require.Eventually(t, seen("500"), time.Minute, 10*time.Millisecond)
}

// A watch that ends with its timeout is continued without a request.
func TestWatchesThatTimeOut(t *testing.T) {
	now := time.Now()
	transport := &restoreTransport{now: func() time.Time { return now }, ends: map[string]time.Time{}}
	watch := func(after time.Duration, more string) bool {
		t.Helper()
		now = now.Add(after)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server/api/v1/pods?watch=true&timeoutSeconds=300"+more, nil)
		require.NoError(t, err)
		return transport.interrupted(r.URL.Path, r.URL.Query())
	}
	assert.False(t, watch(0, "&sendInitialEvents=true"), "the first one")
	assert.False(t, watch(299*time.Second, "&resourceVersion=5"))
	assert.True(t, watch(100*time.Second, "&resourceVersion=5"))
	assert.False(t, watch(100*time.Second, "&resourceVersion=5&labelSelector=x"), "others")
	assert.False(t, watch(0, "&resourceVersion=5&sendInitialEvents=true"), "a new list")
	assert.False(t, watch(0, ""), "from any version")
}
