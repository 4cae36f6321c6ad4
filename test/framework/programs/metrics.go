package programs

import (
	"context"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// MetricsManifests are the manifests that a metrics API server needs in addition to user.Manifests.
var MetricsManifests = clustertest.Apply("manifests/metrics/rbac")

// MetricsOptions returns the options of a metrics API server that already listens.
func MetricsOptions(ctx context.Context, kube *cluster.Cluster, changes ...func(*app.Options)) (*app.Options, error) {
	kubeconfig, err := kube.KubeconfigFor(user.Metrics, user.SystemGroups...)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a port: %w", err)
	}
	o := app.NewOptions()
	o.Kubeconfig, o.Listener, o.BindAddress, o.MetricsAddress = kubeconfig, listener, "127.0.0.1", ""
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		o.ServicePort, o.SecurePort = int32(tcp.Port), tcp.Port //nolint:gosec // a port
	}
	for _, change := range changes {
		change(o)
	}
	return o, nil
}

// Metrics starts the metrics API server that the tests of a package share. A Service that is an alias of localhost
// refers to it, since the control plane has no other address.
func Metrics(changes ...func(*app.Options)) clustertest.Setup {
	return func(ctx context.Context, kube *cluster.Cluster) error {
		o, err := MetricsOptions(ctx, kube, changes...)
		if err != nil {
			return err
		}
		_, err = kube.Client().CoreV1().Services(o.Namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: o.ServiceName},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("making a Service: %w", err)
		}
		Start(ctx, "the metrics API server", func(ctx context.Context) error { return app.Run(ctx, o) })
		return nil
	}
}
