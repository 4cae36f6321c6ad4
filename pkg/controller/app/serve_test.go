package app

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/component-base/metrics"

	controllermetrics "minicluster.internal/operator/pkg/controller/metrics"
)

func get(t *testing.T, handler http.Handler, path string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.Code, string(text)
}

func TestHealth(t *testing.T) {
	var (
		lease error
		ready bool
	)
	h := healthHandler(func(*http.Request) error { return lease }, func() bool { return ready })
	code, _ := get(t, h, "/healthz")
	assert.Equal(t, http.StatusOK, code, "alive before the caches are filled")
	code, text := get(t, h, "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Contains(t, text, "caches")
	ready, lease = true, errors.New("the lease was not renewed")
	code, _ = get(t, h, "/readyz")
	assert.Equal(t, http.StatusOK, code)
	code, text = get(t, h, "/healthz")
	assert.Equal(t, http.StatusInternalServerError, code)
	assert.Contains(t, text, "not renewed")
	code, _ = get(t, h, "/metrics")
	assert.Equal(t, http.StatusNotFound, code)
}

func TestMetrics(t *testing.T) {
	registry := metrics.NewKubeRegistry()
	controllermetrics.NewMetrics(registry)
	code, text := get(t, metricsHandler(registry), "/metrics")
	assert.Equal(t, http.StatusOK, code)
	assert.Contains(t, text, "go_goroutines", "those of the libraries")
}
