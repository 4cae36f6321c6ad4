package e2e

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/python"
)

// TestPythonFlux runs a program with the Python package: Flux commands in a MiniCluster, and the log of another one.
func TestPythonFlux(t *testing.T) {
	t.Parallel()
	program := python.Need(t)
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	out, err := python.Run(t.Context(), program, root,
		[]string{"KUBECONFIG=" + python.Kubeconfig(t, kube.Cluster, namespace, "researcher", "system:masters")},
		filepath.Join(root, "test", "e2e", "testdata", "python.py"), fluxImage)
	require.NoError(t, err, "%s\n%s", out, report(t, kube, namespace))
	assert.Equal(t, `['', 'task 0', 'task 1']
ƒ größer
3
3 True
['1', '2', '3'] ['3']
`, out)
}
