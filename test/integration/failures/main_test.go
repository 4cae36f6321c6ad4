// Package failures_test tests, on a real control plane with simulated nodes, that a MiniCluster whose pods do not
// become ready reports why, and how many requests that takes.
package failures_test

import (
	"os"
	"testing"
	"time"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// slowStart is shorter than the default, to speed up the tests.
const slowStart = 2 * time.Second

var suite = clustertest.New(cluster.Options{Audit: true}, user.Manifests, programs.Controller(func(o *app.Options) {
	o.PodDiagnosisDelay = slowStart
}))

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }
