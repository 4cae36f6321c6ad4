package promserver

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScrapesAndAnswers(t *testing.T) {
	t.Parallel()
	Need(t)
	var requests atomic.Int64
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "requests_total{path=\"/\"} %d\n", requests.Add(1))
	}))
	defer program.Close()

	s := Start(t, Options{Config: Static(time.Second, program.Listener.Addr().String())})
	s.Eventually(t, `up{job="test"}`, 1)
	s.EventuallyVector(t, `requests_total`, func(v model.Vector) string {
		if len(v) == 1 && v[0].Value >= 2 && v[0].Metric["path"] == "/" {
			return ""
		}
		return fmt.Sprint(v)
	})
	s.Eventually(t, `2 + 3`, 5)
	_, err := s.Query(t.Context(), `sum(`)
	require.ErrorContains(t, err, "querying sum(")
	_, err = s.Query(t.Context(), `up[1m]`)
	require.ErrorContains(t, err, "the result is a matrix")
}

func TestAMistakeInTheConfigurationIsToldAtOnce(t *testing.T) {
	t.Parallel()
	path := Need(t)
	_, err := start(t.Context(), path, Options{Dir: t.TempDir(), Config: "scrape_configs: [{job: x}]"})
	require.ErrorContains(t, err, "field job not found")

	_, err = start(t.Context(), path, Options{Dir: filepath.Join(t.TempDir(), "none")})
	require.ErrorContains(t, err, "writing its configuration")
}

func TestStatic(t *testing.T) {
	t.Parallel()
	config := Static(500*time.Millisecond, "127.0.0.1:1", "127.0.0.1:2")
	assert.Contains(t, config, "scrape_interval: 500ms")
	assert.Equal(t, 1, strings.Count(config, "['127.0.0.1:1', '127.0.0.1:2']"))
}
