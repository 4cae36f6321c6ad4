// Package requests_test counts, at a real API server, what the controller asks
// it for. The counts are exact: no test here depends on how fast anything is.
package requests_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/cluster"
	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/integration/user"
)

// agents answer for those of simulated pods.
var agents user.Agents

var suite = clustertest.New(cluster.Options{Audit: true},
	user.Manifests,
	startController,
)

func TestMain(m *testing.M) {
	os.Exit(suite.Run(m))
}

// startController runs the controller until the tests have ended. It runs in this
// process, so that the race detector sees it and its metrics can be read.
func startController(_ context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(user.Controller, user.ControllerGroups...)
	if err != nil {
		return err
	}
	o := app.NewOptions()
	o.Kubeconfig = kubeconfig
	o.HealthAddress, o.MetricsAddress = "127.0.0.1:0", "127.0.0.1:0"
	// Pods are never ready here by themselves: what that costs is counted elsewhere.
	o.SlowStart = 0
	o.NewAgent = agents.Connect
	o.LeaderElection.ResourceNamespace = "minicluster-system"
	go func() {
		// Not the context of a test: the controller outlives it.
		if err := app.Run(context.Background(), o); err != nil {
			fmt.Fprintln(os.Stderr, "the controller ended:", err)
		}
	}()
	return nil
}
