package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/cluster/kubebin"
	"minicluster.internal/operator/test/node"
)

// hpaPatience is some periods of the autoscaler (15 s), on a busy machine.
const hpaPatience = 90 * time.Second

// installMetrics installs the metrics API server as a user does.
func installMetrics(t *testing.T, kube *node.Node) {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	require.NoError(t, kube.Apply(t.Context(), filepath.Join(root, "manifests", "metrics")))
	_, err = kube.Kubectl(t.Context(), "rollout", "status", "deployment", "minicluster-metrics", "--namespace="+systemNamespace, "--timeout=60s")
	if err != nil {
		pods, _ := kube.Kubectl(t.Context(), "describe", "pods", "--namespace="+systemNamespace, "--selector=app.kubernetes.io/name=minicluster-metrics")
		logs, _ := kube.Kubectl(t.Context(), "logs", "--namespace="+systemNamespace, "--selector=app.kubernetes.io/name=minicluster-metrics", "--tail=30")
		t.Fatalf("waiting for the metrics API server: %v\n%s\n%s", err, pods, logs)
	}
	for _, name := range []string{"v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"} {
		_, err = kube.Kubectl(t.Context(), "wait", "apiservice", name, "--for=condition=Available", "--timeout=60s")
		require.NoError(t, err)
	}
}

// autoscaled starts a MiniCluster of size 1 with the autoscaler of the example, which
// does not wait before it shrinks.
func autoscaled(t *testing.T, kube *node.Node, namespace string, maximum int) corev1.Pod {
	t.Helper()
	pods := start(t, kube, namespace, "flux-sample", 1, strings.Replace(interactive("flux-sample", 1), "size: 1", fmt.Sprintf("size: 1\n  maxSize: %d", maximum), 1))
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	document, err := os.ReadFile(filepath.Join(root, "examples/elasticity/horizontal-autoscaler/v2-custom-metrics/hpa-flux.yaml"))
	require.NoError(t, err)
	quick := strings.Replace(string(document), "stabilizationWindowSeconds: 30", "stabilizationWindowSeconds: 0", 1)
	require.NotEqual(t, string(document), quick)
	apply(t, kube, namespace, quick)
	return pods[0]
}

// metricOf asks the metrics API through the API server; known is false while there is
// no number.
func metricOf(ctx context.Context, t *testing.T, kube *node.Node, namespace, metric string) (value string, known bool) {
	t.Helper()
	answer, err := kube.Client().Discovery().RESTClient().Get().
		RequestURI("/apis/custom.metrics.k8s.io/v1beta2/namespaces/" + namespace + "/miniclusters.flux-framework.org/flux-sample/" + metric).DoRaw(ctx)
	if err != nil {
		return "", false
	}
	var list struct{ Items []struct{ Value string } }
	require.NoError(t, json.Unmarshal(answer, &list))
	require.Len(t, list.Items, 1)
	return list.Items[0].Value, true
}

func eventuallyMetric(t *testing.T, kube *node.Node, namespace, metric, want string) {
	t.Helper()
	got := ""
	err := wait.PollUntilContextTimeout(t.Context(), 10*pollInterval, hpaPatience, true, func(ctx context.Context) (bool, error) {
		got, _ = metricOf(ctx, t, kube, namespace, metric)
		return got == want, nil
	})
	if err != nil {
		t.Fatalf("%s of %s is %q, not %s: %v", metric, namespace, got, want, err)
	}
}

// TestScaleOnTheQueue: two MiniClusters, each with an autoscaler, get the pods that
// their jobs want and give them back, while the metrics API server and a lead
// pod are replaced.
func TestScaleOnTheQueue(t *testing.T) {
	kube := suite.Node(t)
	installMetrics(t, kube)
	first, second := clustertest.Namespace(t, kube.Cluster), clustertest.Namespace(t, kube.Cluster)
	lead := autoscaled(t, kube, first, 6)
	other := autoscaled(t, kube, second, 3)

	// Each wants a node. The first one runs at once, so that when it ends only the
	// highest ranks are busy: they must not go.
	begin := time.Now()
	for range 4 {
		flux(t, kube, lead, "submit", "-N1", "sleep", "30")
	}
	for range 9 {
		flux(t, kube, other, "submit", "-N1", "sleep", "600")
	}
	eventuallyPods(t, kube, first, selector("flux-sample"), hpaPatience, areReady(4))
	t.Logf("4 pods are ready %.1f s after 4 jobs were submitted", time.Since(begin).Seconds())
	pods := eventuallyPods(t, kube, second, selector("flux-sample"), hpaPatience, areReady(3))
	value, _ := metricOf(t.Context(), t, kube, second, "nodes_demanded")
	assert.Equal(t, "3", value, "not more than there may be")

	_, err := kube.Kubectl(t.Context(), "rollout", "restart", "deployment", "minicluster-metrics", "--namespace="+systemNamespace)
	require.NoError(t, err)
	require.NoError(t, kube.Client().CoreV1().Pods(second).Delete(t.Context(), pods[0].Name, metav1.DeleteOptions{}))

	eventuallyMetric(t, kube, first, "job_result_successful_count", "4")
	ended := time.Now()
	value, known := metricOf(t.Context(), t, kube, first, "job_result_failed_count")
	assert.True(t, known)
	assert.Equal(t, "0", value, "no job was killed by shrinking")
	eventuallyPods(t, kube, first, selector("flux-sample"), hpaPatience, areReady(1))
	t.Logf("1 pod is left %.1f s after the last job was seen to have ended", time.Since(ended).Seconds())
	// The jobs of the lost lead are gone with it.
	eventuallyPods(t, kube, second, selector("flux-sample"), hpaPatience, areReady(1))
	eventuallyMetric(t, kube, second, "nodes_demanded", "0")
}
