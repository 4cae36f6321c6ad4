package queries_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/promserver"
	"minicluster.internal/operator/test/framework/user"
)

const (
	example = "examples/elasticity/horizontal-autoscaler/prometheus"
	// pause between requests results in 3.75 a second, which is 7.5 times the 500m of a pod.
	pause = time.Second * 4 / 15
)

type fixture struct {
	*user.Fixture
	root string
}

func (f *fixture) apply(file string) {
	f.Helper()
	_, err := f.Cluster.Kubectl(f.Context(), "apply", "--validate=strict", "--namespace", f.Namespace, "-f", filepath.Join(f.root, example, file))
	require.NoError(f, err)
}

func (f *fixture) raw(ctx context.Context, path string) (string, error) {
	result := f.Kube.Discovery().RESTClient().Get().
		RequestURI("/apis/custom.metrics.k8s.io/v1beta1/namespaces/" + f.Namespace + "/" + path).Do(ctx)
	if err := result.Error(); err != nil {
		return "", err // with the message, which DoRaw drops
	}
	answer, err := result.Raw()
	return string(answer), err
}

// says waits until the response about a metric, or its error, contains some text.
func (f *fixture) says(path, want string) {
	f.Helper()
	f.Eventually(path, func(ctx context.Context) (string, error) {
		answer, err := f.raw(ctx, path)
		if err != nil {
			answer = err.Error()
		}
		if strings.Contains(answer, want) {
			return "", nil
		}
		return answer, nil
	})
}

// sizes waits until the Deployment and the MiniCluster have these sizes and all of their pods, and until the
// autoscaler of the Deployment, with the average over all of them, requests no other size.
func (f *fixture) sizes(deployment, miniCluster int32) {
	f.Helper()
	f.Eventually(fmt.Sprintf("sizes %d and %d", deployment, miniCluster), func(ctx context.Context) (string, error) {
		d, err := f.Kube.AppsV1().Deployments(f.Namespace).Get(ctx, "sample-metrics-app", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		lack, err := f.Settled(ctx, "workers", miniCluster)
		if err != nil {
			return "", err
		}
		hpa, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Get(ctx, "sample-metrics-app-hpa", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		answer, err := f.raw(ctx, "pods/*/http_requests?labelSelector=app%3Dsample-metrics-app")
		if err != nil {
			return "", err
		}
		if d.Status.ReadyReplicas == deployment && d.Status.Replicas == deployment && *d.Spec.Replicas == deployment &&
			lack == "" &&
			hpa.Status.CurrentReplicas == deployment && hpa.Status.DesiredReplicas == deployment &&
			strings.Count(answer, `"metricName":"http_requests"`) == int(deployment) {
			return "", nil
		}
		return fmt.Sprintf("%d of %d wanted pods are ready, MiniCluster: %s; %+v; %s", d.Status.ReadyReplicas, *d.Spec.Replicas,
			lack, hpa.Status, answer), nil
	})
}

// scaling waits for a text in the autoscaler's condition about its metric.
func (f *fixture) scaling(want string) {
	f.Helper()
	f.Eventually(want, func(ctx context.Context) (string, error) {
		hpa, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Get(ctx, "sample-metrics-app-hpa", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if strings.Contains(fmt.Sprint(hpa.Status.Conditions), want) {
			return "", nil
		}
		return fmt.Sprint(hpa.Status.Conditions), nil
	})
}

// TestHTTPRequests runs the example: at 3.75 requests a second and 500m for each pod there are 8 pods, of the
// application by the average over its pods, and of a MiniCluster by the rate of its Service. Then the load ends.
func TestHTTPRequests(t *testing.T) {
	promserver.Need(t)
	kube := suite.Cluster(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	f := &fixture{Fixture: user.NewFixture(t, kube), root: root}

	f.apply("app.yaml")
	f.apply("minicluster.yaml")
	application := startApplication(t, f.Kube, f.Namespace, root)
	server := promserver.Start(t, promserver.Options{Config: fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - {job_name: sample-metrics-app, file_sd_configs: [{files: [%q], refresh_interval: 1s}]}
`, filepath.Join(application.dir, "targets.json"))})
	gate.open(server.URL())
	t.Cleanup(func() { gate.open("") })

	// The ConfigMap of the example with another window.
	text, err := os.ReadFile(filepath.Join(root, example, "queries.yaml"))
	require.NoError(t, err)
	quick := strings.ReplaceAll(string(text), "[1m]", "[10s]")
	require.NotEqual(t, string(text), quick)
	document := filepath.Join(t.TempDir(), "queries.yaml")
	require.NoError(t, os.WriteFile(document, []byte(quick), 0o600))
	_, err = kube.Kubectl(t.Context(), "apply", "-f", document)
	require.NoError(t, err)
	f.says("services/sample-metrics-app/http_requests", `"value":"0"`)
	f.says("pods/*/http_requests?labelSelector=app%3Dsample-metrics-app", `"kind":"Pod"`)
	f.apply("hpa.yaml")
	f.apply("hpa-minicluster.yaml")
	f.sizes(2, 1)

	begin := time.Now()
	application.load <- pause
	f.sizes(8, 8)
	t.Logf("8 pods of each are ready, and requested, %.1f s after the load began", time.Since(begin).Seconds())

	// An invalid query reports its error, and does not affect others.
	patch := `{"data":{"broken":"{query: sum(, object: pods}","twice":"{query: http_requests_total or up, object: services}","strange":"sum(up)"}}`
	_, err = f.Kube.CoreV1().ConfigMaps(user.SystemNamespace).Patch(t.Context(), "minicluster-metrics-queries", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(t, err)
	const of = " of ConfigMap minicluster-system/minicluster-metrics-queries: "
	f.says("pods/*/broken?labelSelector=app%3Dsample-metrics-app", "query broken"+of+"the query is invalid: invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis")
	f.says("services/sample-metrics-app/twice", "query twice"+of+"an object must have one series")
	f.says("services/sample-metrics-app/strange", "query strange"+of+"must be a YAML document")

	// Without Prometheus, autoscalers do not resize, and report why.
	gate.open("")
	f.scaling("query http_requests" + of + "the Prometheus server returned an error: server_error: server error: 502: it is down")
	gate.open(server.URL())
	f.scaling("the HPA was able to successfully calculate a replica count")
	f.sizes(8, 8)

	ended := time.Now()
	application.load <- 0
	f.sizes(2, 1)
	t.Logf("2 and 1 remain %.1f s after the load ended", time.Since(ended).Seconds())
	rejected, err := f.Kube.CoreV1().Events(f.Namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=ScaleRejected"})
	require.NoError(t, err)
	assert.Empty(t, rejected.Items)
}
