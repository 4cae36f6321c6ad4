package page

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/test/framework/pagefigures"
)

const (
	manyClusters = 500
	manyNodes    = 100
)

// many is a cluster of 100 nodes with 500 MiniClusters in all combinations of some properties, counted by the real
// source of capacity.
type many struct {
	*world
	source  *capacity.Source
	objects []runtime.Object
	clients *metrics.Provider
	// free is the free capacity of each node in thousandths of a core, counted from pods by the test.
	free map[string]int64
}

func newMany(t *testing.T) *many {
	t.Helper()
	m := &many{world: newWorld(t), free: map[string]int64{}}
	for i := range manyNodes {
		has := corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
		name := fmt.Sprintf("node-%02d", i)
		m.free[name] = 64_000
		m.objects = append(m.objects, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.NodeStatus{
				Capacity: has, Allocatable: has, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			},
		})
	}
	for i := range manyClusters {
		m.add(t, i)
	}
	m.pod("team-0", "pending", "", "", 3000)
	m.pod("team-0", "too-large", "", "", 65_000)
	client := fake.NewClientset(m.objects...)
	var err error
	m.source, err = capacity.NewSource(client, m.clusters, func() bool { return true }, capacity.Options{Interval: time.Hour})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.source.Run(ctx) }()
	t.Cleanup(func() { stop(); assert.NoError(t, <-done) })
	require.Eventually(t, m.source.Synced, time.Minute, 10*time.Millisecond)
	m.options.Capacity, m.clients = m.source, metrics.NewProvider(m.source)
	m.after(time.Second)
	return m
}

// add adds a MiniCluster with its Job and pods. Every seventh one is opportunistic, and every fiftieth has no Job.
func (m *many) add(t *testing.T, i int) {
	t.Helper()
	size := int32(1 + i%4)
	mc := cluster(fmt.Sprintf("team-%d", i%20), fmt.Sprintf("cluster-%03d", i), size, 2*size)
	if i%7 == 0 {
		mc.Spec.MinSize, mc.Spec.Opportunistic = 1, &v1alpha2.Opportunistic{Weight: int32(1 + i%3)}
	}
	if i%9 == 0 {
		set(mc, v1alpha2.ConditionReady, false, "ImagePullFailed", "")
		set(mc, v1alpha2.ConditionStalled, true, "ImagePullFailed", "")
	}
	m.put(t, mc)
	for metric, n := range map[string]int64{"size_demanded": int64(i % 11), metricRunning: int64(i % 5), metricWaiting: int64(i % 3)} {
		m.numbers[mc.Namespace+"/"+mc.Name+"/"+metric] = n
	}
	if i%50 == 49 {
		return
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: mc.Namespace, Name: mc.Name, Labels: map[string]string{v1alpha2.LabelController: v1alpha2.ManagedBy},
		OwnerReferences: []metav1.OwnerReference{{Kind: "MiniCluster", Name: mc.Name, UID: mc.UID, Controller: new(true)}},
	}}
	cpu := int64(500 * (1 + i%5))
	job.Spec.Template.Spec.Containers = requesting(cpu)
	m.objects = append(m.objects, job)
	for rank := range size {
		m.pod(mc.Namespace, fmt.Sprintf("%s-%d", mc.Name, rank), fmt.Sprintf("node-%02d", (i+int(rank))%manyNodes), mc.Name, cpu)
	}
}

func requesting(cpu int64) []corev1.Container {
	return []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: *resource.NewMilliQuantity(cpu, resource.DecimalSI), corev1.ResourceMemory: resource.MustParse("1Gi"),
	}}}}
}

func (m *many) pod(namespace, name, node, job string, cpu int64) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name)}}
	pod.Spec.NodeName, pod.Spec.Containers = node, requesting(cpu)
	if job != "" {
		pod.Labels = map[string]string{v1alpha2.LabelHPASelector: job}
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: job, Controller: new(true)}}
		pod.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: name[strings.LastIndex(name, "-")+1:]}
	}
	if node != "" {
		m.free[node] -= cpu
	}
	m.objects = append(m.objects, pod)
}

// answer returns a metric of an object in the metrics API; known is false if there is none.
func (m *many) answer(t *testing.T, about, metric string) (value float64, known bool) {
	t.Helper()
	if n, ofFlux := m.numbers[about+"/"+metric]; ofFlux {
		return float64(n), true
	}
	of, name := schema.GroupResource{Resource: "services"}, types.NamespacedName{Namespace: "any", Name: capacity.DefaultService}
	if namespace, mc, found := strings.Cut(about, "/"); found {
		of, name = v1alpha2.Resource("miniclusters"), types.NamespacedName{Namespace: namespace, Name: mc}
	}
	v, err := m.clients.GetMetricByName(t.Context(), name, provider.CustomMetricInfo{GroupResource: of, Metric: metric}, labels.Everything())
	if err != nil {
		return 0, false
	}
	return v.Value.AsApproximateFloat64(), true
}

// TestNumbersOfFiveHundred checks that every number on the page of 500 MiniClusters is that of the metrics API, of the
// objects, or of the pods on a node, and that every number at /metrics is that of the metrics API.
func TestNumbersOfFiveHundred(t *testing.T) {
	m := newMany(t)
	server, _ := serve(t, m.world, rules{Set: sets.New(":miniclusters.flux-framework.org", ":services", "nodes")})
	status, _, page := ask(t, server, http.MethodGet, pages+"miniclusters", "")
	require.Equal(t, http.StatusOK, status)
	figures, err := pagefigures.Read(page)
	require.NoError(t, err)

	rows, compared := map[string]bool{}, 0
	for key, n := range figures {
		about, metric := key[:strings.LastIndex(key, "/")], key[strings.LastIndex(key, "/")+1:]
		rows[about] = true
		want, known := m.object(about, metric)
		if !known {
			want, known = m.answer(t, about, metric)
			compared++
		}
		require.True(t, known, "%s is on the page only", key)
		require.InDelta(t, want, n, 1e-6, key)
	}
	assert.Len(t, rows, manyClusters+1, "all MiniClusters and the cluster")
	assert.Greater(t, compared, 4*manyClusters)
	for node, free := range m.free {
		_, row, found := strings.Cut(page, `<tr id="node/`+node+`"`)
		require.True(t, found, node)
		row, _, _ = strings.Cut(row, "</tr>")
		require.Contains(t, row, "<strong>"+cores(free)+"</strong> of 64", node)
	}
	_, waiting, _ := strings.Cut(page, "fits nowhere")
	assert.Contains(t, waiting[:200], "team-0/too-large (65 cores, 1024 MiB)")
	m.exposed(t)
}

// object returns what a MiniCluster itself says.
func (m *many) object(about, of string) (value float64, known bool) {
	namespace, name, _ := strings.Cut(about, "/")
	mc, err := m.clusters.MiniClusters(namespace).Get(name)
	if err != nil {
		return 0, false
	}
	n, known := map[string]int32{
		"size": mc.Status.Size, "wanted": mc.RequestedSize(), "ready": mc.Status.ReadySize, "minimum": mc.MinimumSize(), "maximum": mc.Status.MaximumSize,
	}[of]
	return float64(n), known
}

// exposed compares /metrics with the metrics API.
func (m *many) exposed(t *testing.T) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(capacity.NewCollector(m.source))
	families, err := registry.Gather()
	require.NoError(t, err)
	compared := 0
	for _, family := range families {
		for _, sample := range family.GetMetric() {
			about, metric := nameOf(family.GetName(), sample)
			if metric == "" {
				continue
			}
			want, known := m.answer(t, about, metric)
			require.True(t, known, "%s of %s is at /metrics only", metric, about)
			require.InDelta(t, want, sample.GetGauge().GetValue(), 1e-6, "%s of %s", metric, about)
			compared++
		}
	}
	assert.Greater(t, compared, 10*manyClusters)
}

// nameOf returns the object and the name in the metrics API of a sample; the name is "" if it has none there.
func nameOf(family string, sample *dto.Metric) (about, metric string) {
	values := map[string]string{}
	for _, l := range sample.GetLabel() {
		values[l.GetName()] = l.GetValue()
	}
	about = "cluster"
	if values["minicluster"] != "" {
		about = values["namespace"] + "/" + values["minicluster"]
	}
	prefix := map[string]string{"cpu": "cpu", "memory": "mem", "pods": "pod"}[values["resource"]]
	switch kind, _ := strings.CutPrefix(strings.TrimPrefix(family, "minicluster_eligible_nodes_"), "minicluster_nodes_"); {
	case prefix != "":
		return about, prefix + "_" + kind
	case family == "minicluster_nodes", family == "minicluster_size_fitting", family == "minicluster_pods_fitting":
		return about, strings.TrimPrefix(family, "minicluster_")
	case !strings.HasPrefix(family, "minicluster_"):
		return about, family
	}
	return about, ""
}
