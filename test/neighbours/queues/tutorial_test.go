package queues

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/console"
	"minicluster.internal/operator/test/framework/user"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

// TestKueueTutorial replays the example with the real Kueue.
func TestKueueTutorial(t *testing.T) {
	neighbour.Need(t)
	t.Parallel()
	kube := suite.Cluster(t)
	replay(t, kube, clustertest.Namespace(t, kube), "examples/queues/kueue/README.md")
}

// replay runs the commands of a page in a namespace and compares their outputs.
func replay(t *testing.T, kube *cluster.Cluster, namespace, page string) {
	t.Helper()
	root, err := neighbour.Root()
	require.NoError(t, err)
	r := &console.Replay{Cluster: kube, Namespace: namespace, Root: root, Page: page, Patience: user.Patience}
	r.Run(t)
}
