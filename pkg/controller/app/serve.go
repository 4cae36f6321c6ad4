package app

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	_ "k8s.io/component-base/metrics/prometheus/clientgo/leaderelection" // who leads
	_ "k8s.io/component-base/metrics/prometheus/restclient"              // requests to the API server
	_ "k8s.io/component-base/metrics/prometheus/version"                 // build information
	_ "k8s.io/component-base/metrics/prometheus/workqueue"               // the queue
)

// healthHandler serves /healthz (this process works, or waits to become the leader) and /readyz (its caches are
// filled).
func healthHandler(check func(*http.Request) error, ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := check(r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "the caches are not synced yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}

// metricsHandler serves /metrics with the controller's metrics and those of libraries.
func metricsHandler(own metrics.KubeRegistry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.HandlerFor(prometheus.Gatherers{own, legacyregistry.DefaultGatherer}, metrics.HandlerOpts{}))
	return mux
}
