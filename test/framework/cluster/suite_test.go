package cluster_test

import (
	"os"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

var suite = clustertest.New(cluster.Options{Audit: true})

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }
