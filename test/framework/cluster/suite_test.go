package cluster_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

var suite = clustertest.New(cluster.Options{Audit: true})

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// await waits for a condition. Unlike require.Eventually, it checks it in the goroutine of the test, which helpers that
// end the test need.
func await(t *testing.T, condition func() bool, what string, args ...any) {
	t.Helper()
	user.Eventually(t, user.Patience, fmt.Sprintf(what, args...), func(context.Context) (string, error) {
		if condition() {
			return "", nil
		}
		return "not yet", nil
	})
}
