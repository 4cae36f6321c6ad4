package api_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

func manifest(t *testing.T, path string) string {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	return filepath.Join(root, filepath.FromSlash(path))
}

// TestApplyCRD checks the size of the copy of the CRD that kubectl apply stores in an annotation. The suite has
// applied the CRD once.
func TestApplyCRD(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	const crd = "customresourcedefinition/miniclusters.flux-framework.org"
	again := n.kubectl("apply", "-f", manifest(t, "manifests/crd/flux-framework.org_miniclusters.yaml"))
	assert.Contains(t, again, "unchanged")
	copied := n.kubectl("get", crd, "-o", `jsonpath={.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}`)
	t.Logf("the annotation has %d bytes", len(copied))
	assert.Less(t, len(copied), 256<<10)
	assert.Empty(t, n.kubectl("get", crd, "-o", `jsonpath={.status.conditions[?(@.type=="NonStructuralSchema")]}`))
	assert.Equal(t, `["v1alpha2"]`, n.kubectl("get", crd, "-o", "jsonpath={.status.storedVersions}"))
}

// TestCRDForOlderKubernetes checks that the CRD is valid without the parts that servers before 1.30 do not support.
func TestCRDForOlderKubernetes(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	folder := manifest(t, "manifests/crd-kubernetes-1.27")
	rendered := n.kubectl("kustomize", folder)
	assert.NotContains(t, rendered, "optionalOldSelf")
	assert.NotContains(t, rendered, "fieldPath: ")
	assert.Contains(t, rendered, "launcher and batch exclude each other")
	n.kubectl("apply", "--dry-run=server", "-k", folder)
}

func TestKubectl(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	file := filepath.Join(t.TempDir(), "minicluster.yaml")
	document := "apiVersion: flux-framework.org/v1alpha1\nkind: MiniCluster\n" + minimal
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
	assert.Contains(t, n.kubectl("apply", "-f", file), "minicluster.flux-framework.org/flux created")
	before := n.get("v1alpha2", "flux").GetResourceVersion()
	n.kubectl("apply", "-f", file)
	assert.Equal(t, before, n.get("v1alpha2", "flux").GetResourceVersion(), "applying it again changes nothing")
	n.kubectl("scale", "minicluster", "flux", "--replicas=3")
	assert.Equal(t, "3", n.kubectl("get", "mc", "flux", "-o", "jsonpath={.spec.size}"))

	t.Run("columns", func(t *testing.T) {
		n.patch("v1alpha2", "flux", `
status:
  size: 3
  readySize: 2
  maximumSize: 8
  conditions: [{type: Ready, status: "False", reason: NotReady, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]`, "status")
		for _, kind := range []string{"mc", "minicluster", "miniclusters.v1alpha1.flux-framework.org"} {
			lines := strings.Split(n.kubectl("get", kind), "\n")
			assert.Equal(t, []string{"NAME", "SIZE", "READY", "MAX", "STATUS", "AGE"}, strings.Fields(lines[0]))
			assert.Equal(t, []string{"flux", "3", "2", "8", "NotReady"}, strings.Fields(lines[1])[:5])
		}
		assert.Contains(t, n.kubectl("get", "all"), "minicluster.flux-framework.org/flux")
	})

	t.Run("explain", func(t *testing.T) {
		for _, version := range versions() {
			explain := func(path string) string {
				return n.kubectl("explain", "--api-version=flux-framework.org/"+version, path)
			}
			assert.Contains(t, explain("minicluster.spec.size"), "Number of pods (brokers).")
			assert.Contains(t, explain("minicluster.spec.containers.volumes.emptyDir"), "/dev/shm")
			assert.Contains(t, explain("minicluster.spec.containers.securityContext"), "addCapabilities")
			assert.Contains(t, explain("minicluster.status"), "readySize")
		}
	})

	t.Run("unknown field", func(t *testing.T) {
		wrong := strings.Replace(document, "{containers:", "{localDeploy: true, containers:", 1)
		require.NoError(t, os.WriteFile(file, []byte(wrong), 0o600))
		_, err := n.kube.Kubectl(t.Context(), "--namespace", n.name, "apply", "-f", file)
		assert.ErrorContains(t, err, `unknown field "spec.localDeploy"`)
	})
}
