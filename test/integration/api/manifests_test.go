package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// install applies a folder of manifests, which say in which namespace they go.
func (n *namespace) install(folder string, flags ...string) string {
	n.Helper()
	out, err := n.kube.Kubectl(n.Context(), append([]string{"apply", "-k", manifest(n.T, folder)}, flags...)...)
	require.NoError(n, err)
	return out
}

// TestManifests: all that is installed by default is valid, in one piece.
func TestManifests(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.install("manifests/namespace")
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

// TestUserRoles asks the API server what a person of one of Kubernetes' own roles
// may do with MiniClusters.
func TestUserRoles(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.install("manifests/namespace")
	n.install("manifests/rbac")
	may := func(person, right string) bool {
		verb, resource, _ := strings.Cut(right, " ")
		resource, subresource, _ := strings.Cut(resource, "/")
		// It exits with 1 when the answer is no.
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
			// The roles are put together by a controller.
			assert.EventuallyWithT(t, func(c *assert.CollectT) {
				var got []string
				for _, right := range all {
					if may(person, right) {
						got = append(got, right)
					}
				}
				assert.Equal(c, want, got)
			}, 30*time.Second, 200*time.Millisecond)
		})
	}
}
