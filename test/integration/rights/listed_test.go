package rights_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

// TestListedRights checks that the documentation shows the rights of the controller as kubectl lists them.
func TestListedRights(t *testing.T) {
	kube := suite.Cluster(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	require.NoError(t, err)
	for _, namespace := range []string{clustertest.Namespace(t, kube), user.SystemNamespace} {
		all := listRights(t, kube, namespace, cluster.ServiceAccountUser("default", "nobody"))
		var got []string
		for _, line := range listRights(t, kube, namespace, user.Controller) {
			if !slices.Contains(all, line) || strings.HasPrefix(line, "Resources") {
				got = append(got, line)
			}
		}
		shown := namespace
		if namespace != user.SystemNamespace {
			shown = "flux-operator"
		}
		command := "kubectl auth can-i --list -n " + shown + " --as=" + user.Controller
		require.Contains(t, string(text), "$ "+command+"\n")
		_, after, _ := strings.Cut(string(text), "$ "+command+"\n")
		var documented []string
		for line := range strings.Lines(after) {
			if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "```") || strings.HasPrefix(line, "$") {
				break
			}
			documented = append(documented, strings.Join(strings.Fields(line), " "))
		}
		// kubectl's order changes from one call to the next.
		assert.ElementsMatch(t, documented, got, "%s", strings.Join(got, "\n"))
	}
}

// listRights returns the lines that kubectl prints, with single spaces.
func listRights(t *testing.T, kube *cluster.Cluster, namespace, who string) []string {
	t.Helper()
	out, err := kube.Kubectl(t.Context(), "auth", "can-i", "--list", "--namespace", namespace, "--as", who)
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}
