package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDist checks that the file that `make dist` writes installs the same objects as the folder.
func TestDist(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	rendered, err := n.kube.Kubectl(t.Context(), "kustomize", manifest(t, "manifests/default"))
	require.NoError(t, err)
	flags := []string{"apply", "--dry-run=client", "--output=yaml"}
	file, err := n.kube.KubectlInput(t.Context(), strings.NewReader(rendered), append(flags, "--filename=-")...)
	require.NoError(t, err)
	folder, err := n.kube.Kubectl(t.Context(), append(flags, "--kustomize="+manifest(t, "manifests/default"))...)
	require.NoError(t, err)
	assert.Equal(t, folder, file)
	for _, kind := range []string{"CustomResourceDefinition", "Deployment", "ClusterRoleBinding", "PodDisruptionBudget"} {
		assert.Contains(t, file, "kind: "+kind+"\n")
	}
}
