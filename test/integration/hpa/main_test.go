// Package hpa_test lets the real HorizontalPodAutoscaler resize MiniClusters, by the usage of simulated pods that the
// real metrics-server reports.
package hpa_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var suite = clustertest.New(cluster.Options{MetricsServer: true}, user.Manifests, programs.Controller())

// together is the number of concurrent tests. They mostly wait, so it may exceed the number of processors.
const together = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", together); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(suite.Run(m))
}
