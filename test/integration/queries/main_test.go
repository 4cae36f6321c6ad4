// Package queries_test tests autoscalers on metrics of a real Prometheus: the example with http_requests, with the
// sample application in front of simulated pods, and a known load.
package queries_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var (
	// gate is the address of Prometheus for the metrics API server.
	gate  = &gatekeeper{}
	suite = clustertest.New(cluster.Options{
		Nodes: 2,
		// Sizes are exact without the tolerance of 10% of autoscalers.
		ControllerManagerArgs: []string{
			"--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=0s",
			"--horizontal-pod-autoscaler-tolerance=0",
		},
	}, user.Manifests, programs.MetricsManifests, programs.Controller(), programs.Metrics(gate.ask))
)

func TestMain(m *testing.M) {
	code := suite.Run(m)
	gate.close()
	os.Exit(code)
}

// gatekeeper forwards requests to a Prometheus, or fails them: it exists before the Prometheus servers, and can
// simulate an outage.
type gatekeeper struct {
	server *http.Server
	// way is the relay between the metrics API server and the API server of Kubernetes.
	way *relay
	// address is its listen address, servicePort the port in the APIServices.
	address     string
	servicePort int32

	mu sync.Mutex
	to http.Handler
}

// ask makes a metrics API server send queries here, at short intervals.
func (g *gatekeeper) ask(o *app.Options) {
	listener, err := listen()
	if err != nil {
		return // tests that wait for metrics fail
	}
	if g.way, err = redirect(o.Kubeconfig); err != nil {
		return
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	go func() { _ = g.server.Serve(listener) }()
	g.address, g.servicePort = listener.Addr().String(), o.ServicePort
	o.Prometheus.URL = g.url()
	o.CollectInterval = time.Second
}

func (g *gatekeeper) url() string { return "http://" + g.address }

func (g *gatekeeper) close() {
	if g.server != nil {
		_ = g.server.Close()
		_ = g.way.listener.Close()
	}
}

// open forwards to a Prometheus; "" simulates an outage.
func (g *gatekeeper) open(to string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = nil
	if u, err := url.Parse(to); err == nil && to != "" {
		g.to = httputil.NewSingleHostReverseProxy(u)
	}
}

func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	to := g.to
	g.mu.Unlock()
	if to == nil {
		http.Error(w, "it is down", http.StatusBadGateway)
		return
	}
	to.ServeHTTP(w, r)
}
