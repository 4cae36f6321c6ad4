// Package failures_test shows, on a real control plane with simulated nodes, that a MiniCluster whose pods don't become
// ready says why, and what that costs.
package failures_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/cluster"
	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/integration/user"
)

// slowStart is shorter than by default, for the tests' sake.
const slowStart = 2 * time.Second

var suite = clustertest.New(cluster.Options{Audit: true}, user.Manifests, startController)

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// startController runs the controller until the tests have ended, with its own rights.
func startController(_ context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(user.Controller, user.ControllerGroups...)
	if err != nil {
		return err
	}
	o := app.NewOptions()
	o.Kubeconfig = kubeconfig
	o.SlowStart = slowStart
	o.HealthAddress, o.MetricsAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.LeaderElection.ResourceNamespace = "minicluster-system"
	go func() {
		// Not the context of a test: the controller outlives it.
		if err := app.Run(context.Background(), o); err != nil {
			fmt.Fprintln(os.Stderr, "the controller ended:", err)
		}
	}()
	return nil
}
