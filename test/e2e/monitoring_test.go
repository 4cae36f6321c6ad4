package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/generated/clientset/versioned"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/promserver"
	"minicluster.internal/operator/test/framework/shippedqueries"
	"minicluster.internal/operator/test/framework/user"
)

// startPrometheus starts a Prometheus in the network of the pods, with the project's configuration, for the pods of
// the product and of a namespace.
func startPrometheus(t *testing.T, kube *node.Node, root, namespace string) *promserver.Server {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(root, "manifests", "monitoring", "prometheus.yaml"))
	require.NoError(t, err)
	var pods []corev1.Pod
	for _, from := range []string{systemNamespace, namespace} {
		some, err := user.ListPods(t.Context(), kube.Client(), from, "")
		require.NoError(t, err)
		pods = append(pods, some...)
	}
	// The interval is also the timeout of a scrape, which takes longer than a second on a busy machine.
	text, err := promserver.ForPods(string(config), 5*time.Second, pods)
	require.NoError(t, err)
	return promserver.Start(t, promserver.Options{Config: text, Enter: kube.Enter})
}

// TestPrometheus checks that a real Prometheus can scrape agents, controller and metrics API server, and answer all
// queries of the dashboard and the rules. It does not run in parallel: another test replaces pods of the product,
// which the configuration of Prometheus lists.
func TestPrometheus(t *testing.T) {
	kube := suite.Node(t)
	promserver.Need(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	namespace := clustertest.Namespace(t, kube.Cluster)
	pods := start(t, kube, namespace, "flux-sample", 2, strings.Replace(interactive("flux-sample", 2), "size: 2", "size: 2\n  maxSize: 3", 1))
	flux(t, kube, pods[0], "submit", "-N1", "sleep", "600")
	flux(t, kube, pods[0], "submit", "-N3", "sleep", "1")

	begin := time.Now()
	server := startPrometheus(t, kube, root, namespace)
	own := fmt.Sprintf(`{namespace="%s", minicluster="flux-sample"}`, namespace)
	for expression, want := range map[string]float64{
		`count(up{job="minicluster-agents"} == 1)`:     1, // only that of the lead
		`count(up{job="minicluster-controller"} == 1)`: 2,
		`count(up{job="minicluster-metrics"} == 1)`:    2,
		"up" + own:                   1,
		"flux_up" + own:              1,
		"flux_nodes" + own:           3,
		"flux_nodes_up" + own:        2,
		"flux_nodes_allocated" + own: 1,
		"flux_nodes_free" + own:      1,
		"flux_nodes_offline" + own:   1,
		"flux_nodes_drained" + own:   0,
		"flux_nodes_pending" + own:   3,
		"flux_nodes_demanded" + own:  4,
		`sum by (state) (flux_jobs{state="run", namespace="` + namespace + `"})`:   1,
		`sum by (state) (flux_jobs{state="sched", namespace="` + namespace + `"})`: 1,
		`sum(leader_election_master_status{job="minicluster-controller"})`:         1,
		`max(minicluster_nodes{nodes="all"})`:                                      1,
		`count(minicluster_size_fitting` + own + `)`:                               2, // one for each replica
	} {
		server.Eventually(t, expression, want)
	}
	conditionsAgree(t, kube, server)

	queries, err := shippedqueries.Queries(root)
	require.NoError(t, err)
	for _, q := range queries {
		expression := q.Expand(namespace, "flux-sample", "1m")
		_, err := server.Query(t.Context(), expression)
		require.NoError(t, err, q.Where)
		// Other tests have MiniClusters without pods or whose pods are not ready, there are no queries for Prometheus, and
		// alerts are only present after failures.
		if q.Alert == "" && q.Record == "" && !strings.Contains(strings.ToLower(q.Where), "not ready") && !strings.HasPrefix(q.Where, "panel Prometheus quer") {
			server.EventuallyVector(t, expression, func(v model.Vector) string {
				if len(v) == 0 {
					return q.Where + " shows nothing"
				}
				return ""
			})
		}
	}
	labelsAgree(t, server, root)
	t.Logf("%d queries had the expected answers %.1f s after Prometheus was started", len(queries), time.Since(begin).Seconds())
}

// conditionsAgree compares the counts of the controller with the API server. Other tests change them concurrently.
func conditionsAgree(t *testing.T, kube *node.Node, server *promserver.Server) {
	t.Helper()
	client, err := versioned.NewForConfig(kube.Config())
	require.NoError(t, err)
	server.EventuallyVector(t, `max(minicluster_status_condition{condition="Ready", status="True", reason="Ready"})`, func(v model.Vector) string {
		list, err := client.FluxFrameworkV1alpha2().MiniClusters(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		ready := 0
		for _, mc := range list.Items {
			if meta.IsStatusConditionTrue(mc.Status.Conditions, v1alpha2.ConditionReady) {
				ready++
			}
		}
		if len(v) == 1 && int(v[0].Value) == ready {
			return ""
		}
		return fmt.Sprintf("%d are ready, got %v", ready, v)
	})
}

// labelsAgree compares the labels of scraped metrics with the documented ones. All metrics of the project must be
// documented.
func labelsAgree(t *testing.T, server *promserver.Server, root string) {
	t.Helper()
	documented, err := shippedqueries.Metrics(root)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	series, _, _, err := server.API.Series(ctx, []string{`{job=~"minicluster-.*"}`}, time.Now().Add(-time.Minute), time.Now())
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, labels := range series {
		name := string(labels[model.MetricNameLabel])
		metric, known := documented[name]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && !known && documented[base].Type == "histogram" {
				name, metric, known = base, documented[base], true
			}
		}
		if !known {
			ours := strings.HasPrefix(name, "minicluster_") || strings.HasPrefix(name, "flux_")
			assert.False(t, ours, "%s is not documented", name)
			continue
		}
		seen[name] = true
		if name == "kubernetes_build_info" {
			continue // has more labels than the documentation lists
		}
		ofScrape := []string{model.MetricNameLabel, "job", "instance", "namespace", "pod", "le"}
		if strings.HasPrefix(name, "flux_") {
			ofScrape = append(ofScrape, "minicluster")
		}
		var got []string
		for label := range labels {
			if slices.Contains(metric.Labels, string(label)) || !slices.Contains(ofScrape, string(label)) {
				got = append(got, string(label))
			}
		}
		assert.ElementsMatch(t, metric.Labels, got, name)
	}
	for name := range documented {
		if strings.HasPrefix(name, "minicluster_metrics_quer") {
			continue // only present with queries for Prometheus
		}
		switch name {
		case "minicluster_opportunistic_core_seconds_total":
			continue // only present with opportunistic MiniClusters
		case "flux_application_metric":
			continue // only present after "minicluster-agent metric set"
		}
		assert.True(t, seen[name], "%s is documented, and was not scraped", name)
	}
}
