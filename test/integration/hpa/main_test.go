// Package hpa_test has the real HorizontalPodAutoscaler resize MiniClusters, by what the real metrics-server says that
// simulated pods use.
package hpa_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/cluster"
	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/integration/user"
)

var suite = clustertest.New(cluster.Options{MetricsServer: true}, user.Manifests, startController)

// together is how many tests run at the same time. They wait for clocks most of the time, so that there may be more of
// them than the machine has processors.
const together = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", together); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(suite.Run(m))
}

// startController starts the one controller that the tests share, with its own rights. It ends with the process.
func startController(_ context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(user.Controller, user.ControllerGroups...)
	if err != nil {
		return err
	}
	o := app.NewOptions()
	o.Kubeconfig = kubeconfig
	o.HealthAddress, o.MetricsAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.DrainPatience = 0 // simulated pods have no agents
	o.LeaderElection.LeaderElect = false
	// Not the context of a test: the controller outlives it.
	go func() {
		// A test that it is missing from fails by itself; this says why.
		fmt.Fprintln(os.Stderr, "the controller ended:", app.Run(context.Background(), o))
	}()
	return nil
}
