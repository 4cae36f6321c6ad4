package user

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Expositions simulate the metrics of simulated pods for a metrics API server. Each cluster has a separate server,
// since agents differ by address only.
type Expositions struct {
	mu       sync.Mutex
	clusters map[string]*Exposition
}

// Exposition is the response of the agent of one cluster; empty until it is set.
type Exposition struct {
	server *httptest.Server
	mu     sync.Mutex
	text   string
}

// Of returns the exposition of the cluster NAMESPACE/NAME.
func (e *Expositions) Of(cluster string) *Exposition {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.clusters == nil {
		e.clusters = map[string]*Exposition{}
	}
	if e.clusters[cluster] == nil {
		x := &Exposition{}
		x.server = httptest.NewServer(x)
		e.clusters[cluster] = x
	}
	return e.clusters[cluster]
}

// Address implements the option Address of the metrics API server.
func (e *Expositions) Address(pod *corev1.Pod) (string, error) {
	return e.Of(pod.Namespace + "/" + pod.Labels[v1alpha2.LabelHPASelector]).server.Listener.Addr().String(), nil
}

// Say sets the response of an agent whose broker is online.
func (x *Exposition) Say(lines ...string) { x.set("flux_up 1\n" + strings.Join(lines, "\n") + "\n") }

// Fail sets the response of an agent whose broker does not respond.
func (x *Exposition) Fail() { x.set("flux_up 0\n") }

func (x *Exposition) set(text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.text = text
}

// ServeHTTP implements http.Handler.
func (x *Exposition) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	fmt.Fprint(w, x.text)
}
