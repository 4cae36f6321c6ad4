// Package requests_test counts the controller's requests to a real API server. The counts are exact and do not depend
// on speed.
package requests_test

import (
	"os"
	"testing"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// agents simulate the agents of simulated pods.
var agents user.Agents

var suite = clustertest.New(cluster.Options{Audit: true},
	user.Manifests,
	programs.Controller(programs.WithAgents(&agents), func(o *app.Options) {
		// Pods never become ready by themselves here: another test counts the cost of readiness.
		o.PodDiagnosisDelay = 0
	}),
)

func TestMain(m *testing.M) {
	os.Exit(suite.Run(m))
}
