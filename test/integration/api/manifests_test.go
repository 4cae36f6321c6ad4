package api_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// install applies a folder of manifests that set their namespace.
func (n *namespace) install(folder string, flags ...string) string {
	n.Helper()
	out, err := n.kube.Kubectl(n.Context(), append([]string{"apply", "-k", manifest(n.T, folder)}, flags...)...)
	require.NoError(n, err)
	return out
}

// TestManifests checks that all manifests of the default installation are valid together.
func TestManifests(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	out := n.install("manifests/default", "--dry-run=server")
	for _, made := range []string{
		"serviceaccount/minicluster-controller", "deployment.apps/minicluster-controller",
		"poddisruptionbudget.policy/minicluster-controller", "networkpolicy.networking.k8s.io/minicluster-controller",
		"service/minicluster-controller-metrics", "clusterrole.rbac.authorization.k8s.io/minicluster-edit",
	} {
		assert.Contains(t, out, made)
	}
	assert.NotContains(t, out, "Warning", "Pod Security, for example")
}

// TestKustomizations checks that each folder for kubectl -k can be built, and includes all of its files.
func TestKustomizations(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	found := 0
	for _, top := range []string{"manifests", "examples"} {
		err := filepath.WalkDir(manifest(t, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "kustomization.yaml" {
				return err
			}
			found++
			folder := filepath.Dir(path)
			out, err := n.kube.Kubectl(t.Context(), "kustomize", folder)
			require.NoError(t, err, folder)
			assert.Contains(t, out, "kind: ", folder)
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			files, err := os.ReadDir(folder)
			require.NoError(t, err)
			for _, file := range files {
				if !file.IsDir() && file.Name() != entry.Name() && !strings.HasSuffix(file.Name(), ".md") && !strings.HasSuffix(file.Name(), ".go") {
					assert.Contains(t, string(content), file.Name(), "what %s names", path)
				}
			}
			return nil
		})
		require.NoError(t, err)
	}
	assert.Positive(t, found)
}

// TestImageName checks that, with the documented kustomization, the Deployments have one image with the name in a
// registry. That the pods of MiniClusters have it too is tested with a controller in a pod (TestNamespaced).
func TestImageName(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	page, err := os.ReadFile(manifest(t, "docs/operations.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## Image\n")
	require.True(t, found)
	_, block, found := strings.Cut(section, "```yaml\n")
	require.True(t, found)
	block, _, _ = strings.Cut(block, "```")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	manifests, err := filepath.Rel(dir, manifest(t, "manifests"))
	require.NoError(t, err)
	block = strings.ReplaceAll(block, "manifests/", manifests+"/")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(block), 0o600))
	out, err := n.kube.Kubectl(t.Context(), "kustomize", dir)
	require.NoError(t, err)
	assert.NotContains(t, out, "minicluster:latest")
	assert.Equal(t, 2, strings.Count(out, "REGISTRY/minicluster:v1.2.3"), "two Deployments")
	assert.NotContains(t, out, "--agent-image", "the controller finds its own image")
}

// TestMonitoringManifests checks that kustomize can build them, and that Grafana finds the dashboard. test/monitoring
// tests the documents themselves: this API server does not have their kinds.
func TestMonitoringManifests(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	out, err := n.kube.Kubectl(t.Context(), "kustomize", manifest(t, "manifests/monitoring"))
	require.NoError(t, err)
	kinds := map[string]int{}
	for document := range strings.SplitSeq(out, "\n---\n") {
		var object struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
			Data              map[string]string `json:"data"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		kinds[object.Kind]++
		assert.Equal(t, "minicluster-system", object.Namespace)
		if object.Kind == "ConfigMap" {
			assert.Equal(t, "minicluster-dashboard", object.Name)
			assert.Equal(t, map[string]string{"grafana_dashboard": "1"}, object.Labels)
			assert.True(t, json.Valid([]byte(object.Data["dashboard.json"])))
		}
	}
	assert.Equal(t, map[string]int{"ConfigMap": 1, "PodMonitor": 1, "PrometheusRule": 1, "ServiceMonitor": 2}, kinds)
}

// TestUserRoles queries the API server about the rights of a person with one of Kubernetes' own roles on
// MiniClusters.
func TestUserRoles(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	may := func(person, right string) bool {
		verb, resource, _ := strings.Cut(right, " ")
		resource, subresource, _ := strings.Cut(resource, "/")
		// It exits with 1 if the answer is no.
		out, _ := n.kube.Kubectl(t.Context(), "auth", "can-i", verb, resource+".flux-framework.org",
			"--subresource", subresource, "--namespace", n.name, "--as", person)
		return strings.TrimSpace(out) == "yes"
	}
	all := []string{"get miniclusters", "list miniclusters", "create miniclusters", "patch miniclusters", "delete miniclusters",
		"get miniclusters/scale", "patch miniclusters/scale", "update miniclusters/status"}
	for role, want := range map[string][]string{
		"view":  {"get miniclusters", "list miniclusters", "get miniclusters/scale"},
		"edit":  all[:len(all)-1],
		"admin": all[:len(all)-1],
	} {
		t.Run(role, func(t *testing.T) {
			person := role + "-of-" + n.name
			n.kubectl("create", "rolebinding", role, "--clusterrole", role, "--user", person)
			// A controller aggregates the roles.
			assert.EventuallyWithT(t, func(c *assert.CollectT) {
				var got []string
				for _, right := range all {
					if may(person, right) {
						got = append(got, right)
					}
				}
				assert.Equal(c, want, got)
			}, 5*time.Minute, 200*time.Millisecond)
		})
	}
}
