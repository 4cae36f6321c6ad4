// Package rights_test shows, at a real API server, that the controller has the rights that it needs and no others. The
// server checks owner references (OwnerReferencesPermissionEnforcement), as some distributions do.
//
// In the first of two tests, a controller with the rights of manifests/rbac runs every part of parts_test.go, and
// uses exactly the rights that it has, except for rights that only an admission plugin checks. In the second one, for
// each right, a controller without that right runs a part and fails; when it gets the right again, the part succeeds.
// There, each controller works in a separate namespace, so that several of them can run concurrently.
package rights_test

import (
	"os"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

var suite = clustertest.New(
	cluster.Options{Audit: true, APIServerArgs: []string{"--enable-admission-plugins=OwnerReferencesPermissionEnforcement"}},
	user.Manifests,
)

// patience is the timeout for a test with several waits: each of them may take as long as a wait of other tests.
const patience = 2 * user.Patience

func TestMain(m *testing.M) {
	clustertest.Together(8)
	os.Exit(suite.Run(m))
}
