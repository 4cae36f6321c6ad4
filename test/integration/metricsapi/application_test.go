package metricsapi_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// TestApplicationMetric applies the autoscaler of examples/elasticity/application-metrics, whose size is the largest
// one of several metrics. There is no CPU usage, so it only grows.
func TestApplicationMetric(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	for _, file := range []string{"minicluster.yaml", "hpa.yaml"} {
		_, err = f.Cluster.Kubectl(t.Context(), "apply", "--namespace", f.Namespace, "-f", filepath.Join(root, "examples/elasticity/application-metrics", file))
		require.NoError(t, err)
	}
	a := f.agent("flux-sample")
	a.Say("flux_nodes_demanded 2", `flux_application_metric{name="wanted"} 3`)
	f.size("flux-sample", 3)
	for _, object := range []string{"miniclusters.flux-framework.org/flux-sample", "services/flux-sample", "miniclusters.flux-framework.org/*"} {
		f.value(f.custom("v1beta2", object+"/wanted"), `"value":"3"`)
	}
	a.Say("flux_nodes_demanded 5", `flux_application_metric{name="wanted"} 4`)
	f.size("flux-sample", 5)
	a.Say("flux_nodes_demanded 1", `flux_application_metric{name="wanted"} 7`)
	f.size("flux-sample", 7)
}
