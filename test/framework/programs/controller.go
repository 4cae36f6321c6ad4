package programs

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// CSIDriver is the driver for which these controllers create PersistentVolumes.
const CSIDriver = "bucket.csi.example"

// ControllerOptions returns the options of a controller on simulated nodes, whose pods have no agents to drain ranks.
func ControllerOptions(changes ...func(*app.Options)) *app.Options {
	o := app.NewOptions()
	o.HealthAddress, o.MetricsAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.AgentUnreachableTimeout = 0
	o.Site.PersistentVolumes = []string{CSIDriver}
	o.LeaderElection.ResourceNamespace = user.SystemNamespace
	// A busy machine may take long to renew a lease, and a controller that loses its lease ends. One that is stopped
	// releases it.
	o.LeaderElection.LeaseDuration = metav1.Duration{Duration: time.Minute}
	o.LeaderElection.RenewDeadline = metav1.Duration{Duration: 45 * time.Second}
	for _, change := range changes {
		change(o)
	}
	return o
}

// WithAgents simulates the agents of pods, so that ranks are drained as usual.
func WithAgents(agents *user.Agents) func(*app.Options) {
	patience := app.NewOptions().AgentUnreachableTimeout
	return func(o *app.Options) { o.Connect, o.AgentUnreachableTimeout = agents.Connect, patience }
}

// Controller starts the controller that the tests of a package share.
func Controller(changes ...func(*app.Options)) clustertest.Setup {
	return func(ctx context.Context, kube *cluster.Cluster) error {
		_, err := StartController(ctx, kube, changes...)
		return err
	}
}

// StartController starts a controller for all namespaces.
func StartController(ctx context.Context, kube *cluster.Cluster, changes ...func(*app.Options)) (*Program, error) {
	kubeconfig, err := kube.KubeconfigFor(user.Controller, user.SystemGroups...)
	if err != nil {
		return nil, err
	}
	o := ControllerOptions(changes...)
	o.Kubeconfig = kubeconfig
	return Start(ctx, "the controller", func(ctx context.Context) error { return app.Run(ctx, o) }), nil
}
