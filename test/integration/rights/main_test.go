// Package rights_test shows, at a real API server, that the controller has the rights that it needs and no others. The
// server checks owner references (OwnerReferencesPermissionEnforcement), as some distributions do.
//
// Two tests do it. In the first one a controller with the rights of manifests/rbac plays every part of parts_test.go,
// and what it asked for is exactly what it is granted, but for rights that only an admission plugin asks for. In the
// second one, for each right, a controller without that one plays a part and fails; when it gets the right back, the
// part succeeds. There each controller works in a namespace of its own, so that some of them can work at a time.
package rights_test

import (
	"flag"
	"fmt"
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

func TestMain(m *testing.M) {
	// The tests wait for others most of the time.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(suite.Run(m))
}
