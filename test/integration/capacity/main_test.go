// Package capacity_test counts what is free on simulated nodes, and has a MiniCluster fill it: with the real scheduler
// and autoscaler, and the controller and the metrics API server with their own rights.
package capacity_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	controllerapp "minicluster.internal/operator/pkg/controller/app"
	metricsapp "minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/cluster"
	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/integration/user"
)

var (
	nodes   = flag.Int("capacity-nodes", 6, "simulated nodes; six of them have 184 cores, others 64 each")
	pods    = flag.Int("capacity-pods", 120, "pods of TestChurn")
	changes = flag.Int("capacity-changes", 100, "changes that TestChurn makes, 50 a second")

	// agents answer for those of simulated pods.
	agents user.Agents

	suite = clustertest.New(cluster.Options{
		Nodes:                 -1,
		ControllerManagerArgs: []string{"--horizontal-pod-autoscaler-sync-period=1s"},
	}, addNodes, user.Manifests, clustertest.Apply("manifests/metrics/rbac"), startController, startMetrics)
)

// patience is how long a test waits for something that should happen soon.
const patience = 5 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(suite.Run(m))
}

// addNodes makes the nodes of the tutorial, of 24 to 32 cores, unless the flag says another number.
func addNodes(ctx context.Context, kube *cluster.Cluster) error {
	for i := range *nodes {
		cpus := int64(64)
		if *nodes == 6 {
			cpus = []int64{32, 32, 32, 32, 32, 24}[i]
		}
		name := fmt.Sprintf("node-%d", i)
		has := corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewQuantity(cpus, resource.DecimalSI),
			corev1.ResourceMemory: resource.MustParse("80Gi"),
			corev1.ResourcePods:   resource.MustParse("110"),
		}
		_, err := kube.Client().CoreV1().Nodes().Create(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
			Status:     corev1.NodeStatus{Capacity: has, Allocatable: has},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("making a simulated node: %w", err)
		}
	}
	if err := kube.WaitForNodes(ctx); err != nil {
		return fmt.Errorf("waiting for the nodes: %w", err)
	}
	return nil
}

func startController(_ context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(user.Controller, user.ControllerGroups...)
	if err != nil {
		return fmt.Errorf("making the controller's credentials: %w", err)
	}
	o := controllerapp.NewOptions()
	o.Kubeconfig = kubeconfig
	o.HealthAddress, o.MetricsAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.LeaderElection.LeaderElect = false
	o.NewAgent = agents.Connect
	// Not the context of a test: it outlives each of them.
	go func() { fmt.Fprintln(os.Stderr, "the controller ended:", controllerapp.Run(context.Background(), o)) }()
	return nil
}

// startMetrics starts the metrics API server. A Service that is another name for localhost leads there, since the
// control plane has no other address.
func startMetrics(ctx context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(cluster.ServiceAccountUser("minicluster-system", "minicluster-metrics"), user.ControllerGroups...)
	if err != nil {
		return fmt.Errorf("making the metrics API server's credentials: %w", err)
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
	o := metricsapp.NewOptions()
	o.Kubeconfig, o.Listener, o.BindAddress, o.MetricsAddress = kubeconfig, listener, "127.0.0.1", ""
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		o.ServicePort, o.SecurePort = int32(tcp.Port), tcp.Port //nolint:gosec // a port
	}
	go func() {
		fmt.Fprintln(os.Stderr, "the metrics API server ended:", metricsapp.Run(context.Background(), o))
	}()
	return nil
}
