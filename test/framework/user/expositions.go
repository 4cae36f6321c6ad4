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

// Expositions answer a metrics API server in the place of the agents of simulated pods. Each cluster has a server of
// its own, since agents differ by address only.
type Expositions struct {
	mu       sync.Mutex
	clusters map[string]*Exposition
}

// Exposition is what the agent of one cluster says; nothing, until it is set.
type Exposition struct {
	server *httptest.Server
	mu     sync.Mutex
	text   string
}

// Of returns that of the cluster NAMESPACE/NAME.
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

// Address is the address of the metrics API server's options.
func (e *Expositions) Address(pod *corev1.Pod) (string, error) {
	return e.Of(pod.Namespace + "/" + pod.Labels[v1alpha2.LabelHPASelector]).server.Listener.Addr().String(), nil
}

// Say has it say so, and that its broker is online.
func (x *Exposition) Say(lines ...string) { x.set("flux_up 1\n" + strings.Join(lines, "\n") + "\n") }

// Fail has it say that its broker does not answer.
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
