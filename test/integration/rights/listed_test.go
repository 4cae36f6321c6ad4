package rights_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
		slices.Sort(documented)
		// The API server reads the roles with a delay.
		user.Eventually(t, user.Patience, "the documented rights", func(ctx context.Context) (string, error) {
			all, err := listRights(ctx, kube, namespace, cluster.ServiceAccountUser("default", "nobody"))
			if err != nil {
				return "", err
			}
			got, err := listRights(ctx, kube, namespace, user.Controller)
			got = slices.DeleteFunc(got, func(line string) bool { return slices.Contains(all, line) && !strings.HasPrefix(line, "Resources") })
			if err != nil || slices.Equal(got, documented) {
				return "", err
			}
			return fmt.Sprintf("%s\n\nin namespace %s, not\n%s", strings.Join(got, "\n"), namespace, strings.Join(documented, "\n")), nil
		})
	}
}

// listRights returns the lines that kubectl prints, with single spaces. They are sorted: kubectl's order changes from
// one call to the next.
func listRights(ctx context.Context, kube *cluster.Cluster, namespace, who string) ([]string, error) {
	out, err := kube.Kubectl(ctx, "auth", "can-i", "--list", "--namespace", namespace, "--as", who)
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	slices.Sort(lines)
	return lines, err
}
