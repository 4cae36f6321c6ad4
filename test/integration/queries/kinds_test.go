package queries_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/promserver"
	"minicluster.internal/operator/test/framework/user"
)

// queriesName is the ConfigMap of queries.
const queriesName = "minicluster-metrics-queries"

// exporter serves metrics: the demand of MiniCluster crew, and the length of two queues.
type exporter struct {
	namespace string

	mu         sync.Mutex
	wanted     int
	long, many int
}

func (e *exporter) set(wanted, long int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wanted, e.long, e.many = wanted, long, 1000
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintf(w, "crew_wanted{namespace=%q,minicluster=\"crew\"} %d\n", e.namespace, e.wanted)
	fmt.Fprintf(w, "queue_messages{queue=\"first\"} %d\nqueue_messages{queue=\"second\"} %d\n", e.long, e.many)
}

// write replaces the ConfigMap of queries.
func (f *fixture) write(entries map[string]string) {
	f.Helper()
	configMaps := f.Kube.CoreV1().ConfigMaps(user.SystemNamespace)
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: queriesName}, Data: entries}
	_, err := configMaps.Update(f.Context(), made, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = configMaps.Create(f.Context(), made, metav1.CreateOptions{})
	}
	require.NoError(f, err)
}

func (f *fixture) unwrite(ctx context.Context) {
	err := f.Kube.CoreV1().ConfigMaps(user.SystemNamespace).Delete(ctx, queriesName, metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) {
		require.NoError(f, err)
	}
}

// autoscale creates an autoscaler of a MiniCluster.
func (f *fixture) autoscale(name string, metric autoscalingv2.MetricSpec) {
	f.Helper()
	_, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Create(f.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: v1alpha2.SchemeGroupVersion.String(), Kind: "MiniCluster", Name: name},
			MinReplicas:    new(int32(1)), MaxReplicas: 10, Metrics: []autoscalingv2.MetricSpec{metric},
		},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
}

// have waits until MiniClusters have these sizes, and all of their pods.
func (f *fixture) have(sizes map[string]int32) {
	f.Helper()
	for name, size := range sizes {
		f.Eventually(fmt.Sprintf("%s of size %d", name, size), func(ctx context.Context) (string, error) {
			lack, err := f.Settled(ctx, name, size)
			if err != nil || lack == "" {
				return lack, err
			}
			hpa, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Get(ctx, name, metav1.GetOptions{})
			return fmt.Sprintf("%s; %+v", lack, hpa.Status), err
		})
	}
}

// active waits until an autoscaler has its metric, or reports why not; in that case the size does not change.
func (f *fixture) active(name string, is corev1.ConditionStatus, message string) {
	f.Helper()
	f.Eventually(name+" says "+message, func(ctx context.Context) (string, error) {
		hpa, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		for _, c := range hpa.Status.Conditions {
			if c.Type == autoscalingv2.ScalingActive && c.Status == is && strings.Contains(c.Message, message) {
				return "", nil
			}
		}
		return fmt.Sprintf("%+v", hpa.Status.Conditions), nil
	})
}

// TestMiniClustersAndExternal checks two autoscalers on queries: one on a value of its MiniCluster, the other on an
// external one. Then the ConfigMap of queries changes, becomes invalid, is deleted, and becomes unreadable.
func TestMiniClustersAndExternal(t *testing.T) {
	promserver.Need(t)
	kube := suite.Cluster(t)
	f := &fixture{Fixture: user.NewFixture(t, kube)}
	shown := &exporter{namespace: f.Namespace}
	shown.set(5, 12)
	scraped := httptest.NewServer(shown)
	t.Cleanup(scraped.Close)
	server := promserver.Start(t, promserver.Options{Config: promserver.Static(time.Second, strings.TrimPrefix(scraped.URL, "http://"))})
	gate.open(server.URL())
	t.Cleanup(func() { gate.open("") })

	wide := func(mc *v1alpha2.MiniCluster) { mc.Spec.MaxSize = 10 }
	f.Create("crew", 1, wide)
	f.Create("pickers", 1, wide)
	right := func() map[string]string {
		return map[string]string{
			"crew_wanted":  "query: max by (namespace, minicluster) (crew_wanted)\nobject: miniclusters",
			"queue_length": "query: sum by (queue) (queue_messages)\nobject: external",
		}
	}
	f.write(right())
	t.Cleanup(func() { f.unwrite(context.WithoutCancel(t.Context())) })
	one, four := resource.MustParse("1"), resource.MustParse("4")
	f.autoscale("crew", autoscalingv2.MetricSpec{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{
		DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: v1alpha2.SchemeGroupVersion.String(), Kind: "MiniCluster", Name: "crew"},
		Metric:          autoscalingv2.MetricIdentifier{Name: "crew_wanted"},
		Target:          autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &one},
	}})
	f.autoscale("pickers", autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
		Metric: autoscalingv2.MetricIdentifier{Name: "queue_length", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"queue": "first"}}},
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &four},
	}})
	f.have(map[string]int32{"crew": 5, "pickers": 3})
	shown.set(2, 3)
	f.have(map[string]int32{"crew": 2, "pickers": 1})

	const of = " of ConfigMap minicluster-system/minicluster-metrics-queries: "
	t.Log("an entry is invalid: it is reported, and the other one works")
	wrong := right()
	wrong["crew_wanted"] = "{query: ["
	f.write(wrong)
	f.active("crew", corev1.ConditionFalse, "query crew_wanted"+of+"must be a YAML document with the fields query and object")
	shown.set(7, 20)
	f.have(map[string]int32{"crew": 2, "pickers": 5})
	wrong["queue_length"] = "{query: sum by (queue) (queue_messages), object: extern}"
	f.write(wrong)
	f.active("pickers", corev1.ConditionFalse, "query queue_length"+of+`object: "extern": must be one of`)
	f.have(map[string]int32{"crew": 2, "pickers": 5})
	f.write(right())
	f.have(map[string]int32{"crew": 7, "pickers": 5})

	t.Log("without the ConfigMap there are no metrics, and sizes do not change")
	f.unwrite(t.Context())
	f.active("crew", corev1.ConditionFalse, "could not find the metric crew_wanted for miniclusters.flux-framework.org")
	f.active("pickers", corev1.ConditionFalse, `"queue_length" not found`)
	shown.set(3, 8)
	f.write(map[string]string{"queue_length": right()["queue_length"]})
	f.have(map[string]int32{"crew": 7, "pickers": 2})
	f.write(right())
	f.have(map[string]int32{"crew": 3, "pickers": 2})

	t.Log("it is no longer readable: the known queries stay in effect")
	f.mayRead(false)
	t.Cleanup(func() { f.mayRead(true) })
	gate.way.cut()
	shown.set(6, 24)
	f.have(map[string]int32{"crew": 6, "pickers": 6})
	changed := right()
	changed["crew_wanted"] = "query: max by (namespace, minicluster) (crew_wanted) + 1\nobject: miniclusters"
	changed["queue_length"] = "{"
	f.write(changed)
	shown.set(4, 12)
	f.have(map[string]int32{"crew": 4, "pickers": 3})
	answers := f.another()
	user.Eventually(t, user.Patience, "the other replica is not ready", answers(http.StatusInternalServerError))
	f.mayRead(true)
	user.Eventually(t, user.Patience, "the other replica is ready", answers(http.StatusOK))
	f.have(map[string]int32{"crew": 5, "pickers": 3})
	f.active("pickers", corev1.ConditionFalse, "query queue_length"+of)
}

// another starts another replica. The returned function reports whether it is ready.
func (f *fixture) another() func(status int) func(context.Context) (string, error) {
	f.Helper()
	o, err := programs.MetricsOptions(f.Context(), f.Cluster, func(o *app.Options) {
		// The APIServices refer to the other one, and do not change.
		o.ServicePort, o.Prometheus.URL = gate.servicePort, gate.url()
	})
	require.NoError(f, err)
	replica := programs.Start(f.Context(), "a replica", func(ctx context.Context) error { return app.Run(ctx, o) })
	f.Cleanup(func() { assert.NoError(f, replica.Stop()) })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // it belongs to this test
	f.Cleanup(client.CloseIdleConnections)
	return func(status int) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+o.Listener.Addr().String()+"/readyz", http.NoBody)
			if err != nil {
				return "", err
			}
			response, err := client.Do(request)
			if err != nil {
				return "", err
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode == status {
				return "", err
			}
			return response.Status + ": " + string(text), nil
		}
	}
}

// mayRead grants the metrics API server the right to read the queries, or revokes it.
func (f *fixture) mayRead(may bool) {
	f.Helper()
	ctx := context.WithoutCancel(f.Context())
	roles := f.Kube.RbacV1().Roles(user.SystemNamespace)
	role, err := roles.Get(ctx, "minicluster-metrics", metav1.GetOptions{})
	require.NoError(f, err)
	found := false
	for i := range role.Rules {
		if len(role.Rules[i].Resources) == 1 && role.Rules[i].Resources[0] == "configmaps" {
			found = true
			role.Rules[i].Verbs = []string{"get"}
			if may {
				role.Rules[i].Verbs = []string{"list", "watch"}
			}
		}
	}
	require.True(f, found)
	_, err = roles.Update(ctx, role, metav1.UpdateOptions{})
	require.NoError(f, err)
	if !may {
		f.AwaitRight(f.T, user.Metrics, authorizationv1.ResourceAttributes{
			Namespace: user.SystemNamespace, Verb: "watch", Resource: "configmaps", Name: queriesName,
		}, false)
	}
}
