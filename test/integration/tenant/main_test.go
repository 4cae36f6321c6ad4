// Package tenant_test tries, on a real API server, what a user with the role edit in one namespace can reach through a
// MiniCluster. docs/security.md has the list.
package tenant_test

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

// suite runs a controller with the default flags, and with the rights to create PersistentVolumes.
var suite = clustertest.New(cluster.Options{Audit: true}, user.Manifests, programs.Controller(func(o *app.Options) {
	o.Site.PersistentVolumes = nil
	o.PodDiagnosisDelay = time.Second
}))

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }
