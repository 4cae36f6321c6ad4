package controller_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/console"
)

// TestReplay runs the commands of the README and of the scaling tutorials, and compares their output with the pages.
func TestReplay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page string
		// first are commands that must run before those of the page.
		first string
		skip  map[string]string
	}{
		"README": {"README.md", "kubectl apply -f examples/scaling/basic/minicluster.yaml", map[string]string{
			"kubectl apply -k manifests": "the manifests are installed",
			"make image":                 "the end-to-end tests build it",
			"kind load":                  "the cluster is that of the test",
			"go install":                 "TestFirstJob runs the plugin, on a real node",
			"kubectl minicluster":        "TestFirstJob runs the plugin, on a real node",
		}},
		"basic": {"examples/scaling/basic/README.md", "", map[string]string{
			"make demo":                              "the cluster is that of the test",
			"export":                                 "the cluster is that of the test",
			"grep Denied":                            "the controller runs in the process of the test",
			"kubectl delete minicluster flux-sample": "it does not exist yet",
		}},
		"expand": {"examples/scaling/expand/README.md", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kube := suite.Cluster(t)
			root, err := kubebin.Root(".")
			require.NoError(t, err)
			r := console.Replay{
				Cluster: kube, Namespace: clustertest.Namespace(t, kube), Root: root, Page: c.page, Skip: c.skip, Patience: patience,
			}
			if c.first != "" {
				r.Type(t, c.first)
			}
			r.Run(t)
		})
	}
}
