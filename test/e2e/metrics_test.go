package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

// hpaPatience is several periods of the autoscaler (15 s), on a busy machine.
const hpaPatience = 4 * time.Minute

// installMetrics installs the metrics API server like a user.
func installMetrics(ctx context.Context, kube *node.Node) error {
	root, err := kubebin.Root(".")
	if err != nil {
		return err
	}
	if err := kube.Apply(ctx, filepath.Join(root, "manifests", "metrics")); err != nil {
		return err
	}
	_, err = kube.Kubectl(ctx, "rollout", "status", "deployment", "minicluster-metrics", "--namespace="+systemNamespace, "--timeout="+readyPatience.String())
	if err != nil {
		pods, _ := kube.Kubectl(ctx, "describe", "pods", "--namespace="+systemNamespace, "--selector=app.kubernetes.io/name=minicluster-metrics")
		logs, _ := kube.Kubectl(ctx, "logs", "--namespace="+systemNamespace, "--selector=app.kubernetes.io/name=minicluster-metrics", "--tail=30")
		return fmt.Errorf("waiting for the metrics API server: %w\n%s\n%s", err, pods, logs)
	}
	_, err = kube.Kubectl(ctx, "wait", "apiservice", "v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io",
		"--for=condition=Available", "--timeout="+readyPatience.String())
	return err
}

// autoscaled starts a MiniCluster of size 1 with the autoscaler of the example, without its delay before a shrink.
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

// metricOf queries the metrics API through the API server. The error says why there is no value.
func metricOf(ctx context.Context, kube *node.Node, namespace, metric string) (string, error) {
	answer, err := kube.Kubectl(ctx, "get", "--raw",
		"/apis/custom.metrics.k8s.io/v1beta2/namespaces/"+namespace+"/miniclusters.flux-framework.org/flux-sample/"+metric)
	if err != nil {
		return "", err
	}
	var list struct{ Items []struct{ Value string } }
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return "", fmt.Errorf("%s: %w", answer, err)
	}
	if len(list.Items) != 1 {
		return "", fmt.Errorf("not one item: %s", answer)
	}
	return list.Items[0].Value, nil
}

func eventuallyMetric(t *testing.T, kube *node.Node, namespace, metric, want string) {
	t.Helper()
	f := fixtureIn(t, kube, namespace)
	f.Interval, f.Patience = 10*pollInterval, hpaPatience
	f.Eventually(metric+" is "+want, func(ctx context.Context) (string, error) {
		got, err := metricOf(ctx, kube, namespace, metric)
		if got == want {
			return "", err
		}
		return "it is " + strconv.Quote(got), err
	})
}

// TestScaleOnTheQueue checks that two MiniClusters with autoscalers get the pods that their jobs need and release
// them, while the metrics API server and a lead pod are replaced.
func TestScaleOnTheQueue(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	first, second := clustertest.Namespace(t, kube.Cluster), clustertest.Namespace(t, kube.Cluster)
	lead := autoscaled(t, kube, first, 6)
	other := autoscaled(t, kube, second, 3)

	// Each job needs a node. The first one starts at once, so when it ends only the highest ranks are busy, and they
	// must stay.
	begin := time.Now()
	for range 4 {
		flux(t, kube, lead, "submit", "-N1", "sleep", "30")
	}
	for range 9 {
		flux(t, kube, other, "submit", "-N1", "sleep", "600")
	}
	eventuallyPods(t, kube, first, user.Selector("flux-sample"), hpaPatience, areReady(4))
	t.Logf("4 pods are ready %.1f s after 4 jobs were submitted", time.Since(begin).Seconds())
	pods := eventuallyPods(t, kube, second, user.Selector("flux-sample"), hpaPatience, areReady(3))
	eventuallyMetric(t, kube, second, "size_demanded", "3") // not more than the maximum

	_, err := kube.Kubectl(t.Context(), "rollout", "restart", "deployment", "minicluster-metrics", "--namespace="+systemNamespace)
	require.NoError(t, err)
	require.NoError(t, kube.Client().CoreV1().Pods(second).Delete(t.Context(), pods[0].Name, metav1.DeleteOptions{}))

	eventuallyMetric(t, kube, first, "job_result_successful_count", "4")
	ended := time.Now()
	// The shrink killed no job. Another replica may respond, which has just started.
	eventuallyMetric(t, kube, first, "job_result_failed_count", "0")
	eventuallyPods(t, kube, first, user.Selector("flux-sample"), hpaPatience, areReady(1))
	t.Logf("1 pod remains %.1f s after the last job was seen to have ended", time.Since(ended).Seconds())
	// The jobs of the lost lead are lost too.
	eventuallyPods(t, kube, second, user.Selector("flux-sample"), hpaPatience, areReady(1))
	eventuallyMetric(t, kube, second, "size_demanded", "1") // not less than the minimum
	eventuallyMetric(t, kube, second, "job_queue_state_run_count", "0")
}

// TestHighestRank runs the last job of a queue on the highest rank: no rank below it is removed before the job has
// ended.
func TestHighestRank(t *testing.T) {
	kube, namespace := shared(t)
	sizes := followSizes(t, kube, namespace, "flux-sample")
	lead := autoscaled(t, kube, namespace, 8)

	flux(t, kube, lead, "submit", "-N8", "sleep", "3")
	job := strings.TrimSpace(flux(t, kube, lead, "submit", "-N1", "--requires=rank:7", "sleep", "45"))
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), hpaPatience, areReady(8))
	begin := time.Now()
	flux(t, kube, lead, "job", "wait-event", "--quiet", job, "clean")
	ended := time.Now()
	t.Logf("the job ended %.1f s after 8 pods were ready", ended.Sub(begin).Seconds())
	assert.Equal(t, "COMPLETED 0 7", strings.TrimSpace(flux(t, kube, lead, "jobs", "-no", "{status} {returncode} {ranks}", job)))
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), hpaPatience, areReady(1))
	t.Logf("1 pod remains %.1f s after the job ended", time.Since(ended).Seconds())
	assert.Equal(t, []int32{1, 8, 1}, sizes(), "the sizes of the Job")
}
