package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	tutorial "minicluster.internal/operator/test/framework/console"
)

// TestHibernation follows the tutorial: a cluster with a pending job hibernates, and is woken with a larger maximum.
// The archive is in a directory of the node instead of a claim.
func TestHibernation(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	const page = "examples/state/hibernate/"
	r := tutorial.Replay{
		Cluster: kube.Cluster, Namespace: clustertest.Namespace(t, kube.Cluster), Root: root, Page: page + "README.md",
		Skip:     map[string]string{"kubectl create namespace": "it exists"},
		Patience: readyPatience,
	}
	r.Type(t, fmt.Sprintf("sed -i -e 's#%s#%s#' -e 's#claimName: flux-state#hostPath: %s#' %sminicluster.yaml", exampleImage, fluxImage, t.TempDir(), page))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(report(t, kube, r.Namespace))
		}
	})
	r.Run(t)
}
