// Package metricsapi_test runs the metrics API server, with the rights of its own
// service account, behind the real aggregator and in front of the real autoscaler. The
// agents are simulated.
package metricsapi_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	controllerapp "minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/cluster"
	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/integration/user"
)

var (
	agents  = &simulatedAgents{servers: map[string]*agent{}}
	running = &adapter{}
	suite   = clustertest.New(cluster.Options{
		Nodes: 2,
		ControllerManagerArgs: []string{
			"--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=2s",
		},
	}, user.Manifests, clustertest.Apply("manifests/metrics/rbac"), startController, running.setup)
)

func TestMain(m *testing.M) {
	code := suite.Run(m)
	os.Exit(code)
}

func startController(_ context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(user.Controller, user.ControllerGroups...)
	if err != nil {
		return err
	}
	o := controllerapp.NewOptions()
	o.Kubeconfig = kubeconfig
	o.HealthAddress, o.MetricsAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.DrainPatience = 0 // simulated pods have no agents
	o.LeaderElection.LeaderElect = false
	go func() { _ = controllerapp.Run(context.Background(), o) }()
	return nil
}

// adapter is the metrics API server that the tests share.
type adapter struct {
	options *app.Options
	address string
}

// setup starts it. A Service that is another name for localhost leads there, since
// the control plane has no other address.
func (a *adapter) setup(ctx context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(cluster.ServiceAccountUser("minicluster-system", "minicluster-metrics"), user.ControllerGroups...)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a port: %w", err)
	}
	_, err = kube.Client().CoreV1().Services("minicluster-system").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "minicluster-metrics"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making a Service: %w", err)
	}
	a.address = listener.Addr().String()
	a.options = options(kubeconfig, listener)
	go func() {
		if err := app.Run(context.Background(), a.options); err != nil {
			fmt.Fprintln(os.Stderr, "minicluster-metrics:", err)
		}
	}()
	return nil
}

func options(kubeconfig string, listener net.Listener) *app.Options {
	o := app.NewOptions()
	o.Kubeconfig, o.Listener = kubeconfig, listener
	o.BindAddress = "127.0.0.1"
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		o.ServicePort, o.SecurePort = int32(tcp.Port), tcp.Port
	}
	o.MetricsAddress = ""
	o.CollectInterval /= 10
	o.Address = agents.address
	return o
}

// simulatedAgents are HTTP servers, one for each MiniCluster by NAMESPACE/NAME.
type simulatedAgents struct {
	mu      sync.Mutex
	servers map[string]*agent
}

// agent says what it was told to say.
type agent struct {
	server *httptest.Server
	mu     sync.Mutex
	text   string
	asked  int
}

func (s *simulatedAgents) of(cluster string) *agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.servers[cluster]; a != nil {
		return a
	}
	a := &agent{}
	a.server = httptest.NewServer(a)
	s.servers[cluster] = a
	return a
}

func (s *simulatedAgents) address(pod *corev1.Pod) (string, error) {
	return s.of(pod.Namespace + "/" + pod.Labels[v1alpha2.LabelHPASelector]).server.Listener.Addr().String(), nil
}

func (a *agent) say(lines ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text = "flux_up 1\n" + strings.Join(lines, "\n") + "\n"
}

func (a *agent) failing() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text = "flux_up 0\n"
}

func (a *agent) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	fmt.Fprint(w, a.text)
}
