// Package hpa_test lets the real HorizontalPodAutoscaler resize MiniClusters, by the usage of simulated pods that the
// real metrics-server reports.
package hpa_test

import (
	"os"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var suite = clustertest.New(cluster.Options{MetricsServer: true}, user.Manifests, programs.Controller())

func TestMain(m *testing.M) {
	clustertest.Together(16)
	os.Exit(suite.Run(m))
}
