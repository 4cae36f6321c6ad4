// Package hardening_test breaks the controller's requests, watches, process and API server, and checks that no object
// is lost, duplicated or orphaned. Most tests run their own controller for the namespace of the test.
package hardening_test

import (
	"os"
	"testing"

	"k8s.io/component-base/cli"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

var (
	// suite is for controllers that watch only the namespace of their test.
	suite = clustertest.New(cluster.Options{}, user.Manifests)
	// processes is for controllers that watch all namespaces.
	processes = clustertest.New(cluster.Options{}, user.Manifests)
)

// asController makes the test binary run as the controller, so that a test can kill a real process of it.
const asController = "HARDENING_RUN_CONTROLLER"

// All tests start at once, so that the long ones begin early; the many short ones take turns, since they mostly wait
// for Kubernetes.
const parallel = 200

var turns = make(chan struct{}, 10)

func takeTurn(t *testing.T) {
	turns <- struct{}{}
	t.Cleanup(func() { <-turns })
}

func TestMain(m *testing.M) {
	if os.Getenv(asController) != "" {
		os.Exit(cli.Run(app.NewCommand()))
	}
	clustertest.Together(parallel)
	os.Exit(clustertest.Run(m, suite, processes))
}
