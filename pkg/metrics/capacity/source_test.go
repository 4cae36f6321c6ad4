package capacity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

const patience = time.Minute

// rig is a source that watches a fake cluster.
type rig struct {
	kube         *fake.Clientset
	miniClusters cache.Indexer
	source       *Source
}

func newRig(t *testing.T, options Options) *rig {
	t.Helper()
	r := &rig{
		kube:         fake.NewClientset(),
		miniClusters: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}),
	}
	var err error
	r.source, err = NewSource(r.kube, listers.NewMiniClusterLister(r.miniClusters), func() bool { return true }, options)
	require.NoError(t, err)
	return r
}

func (r *rig) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.source.Run(ctx) }()
	t.Cleanup(func() { stop(); assert.NoError(t, <-done) })
	require.Eventually(t, r.source.Synced, patience, time.Millisecond)
}

// add creates a MiniCluster with a Job whose pods request a number of cores.
func (r *rig) add(t *testing.T, name, cpu, left string) {
	t.Helper()
	mc := &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}}
	mc.Labels = map[string]string{"kind": cpu}
	if left != "" {
		mc.Spec.Opportunistic = opportunistic(left)
	}
	require.NoError(t, r.miniClusters.Add(mc))
	if cpu == "" {
		return
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, Labels: map[string]string{v1alpha2.LabelController: v1alpha2.ManagedBy},
		OwnerReferences: []metav1.OwnerReference{{Kind: "MiniCluster", Name: name, UID: mc.UID, Controller: new(true)}},
	}}
	job.Spec.Template.Spec.Containers = []corev1.Container{container("c", "cpu", cpu)}
	_, err := r.kube.BatchV1().Jobs("ns").Create(t.Context(), job, metav1.CreateOptions{})
	require.NoError(t, err)
}

func (r *rig) addPod(t *testing.T, name, node, cpu string, options ...podOption) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{container("c", "cpu", cpu, "memory", "1Gi", "nvidia.com/gpu", "1")}},
	}
	for _, option := range options {
		option(pod)
	}
	pod, err := r.kube.CoreV1().Pods("ns").Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
	return pod
}

func (r *rig) addNode(t *testing.T, name, cpu, pool string) {
	t.Helper()
	node := testNode(name, "cpu", cpu, "memory", "64Gi", "pods", "110", "nvidia.com/gpu", "4", "hugepages-2Mi", "2Mi")
	node.Labels["pool"] = pool
	_, err := r.kube.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	require.NoError(t, err)
}

// ask queries one metric of one object.
func (r *rig) ask(t *testing.T, resource, name, metric string, nodes labels.Selector) ([]metrics.Value, error) {
	t.Helper()
	group := services
	if resource == "miniclusters" {
		group = miniClusters
	}
	return r.source.CustomValues(t.Context(), metrics.Query{
		Info: metrics.Info{Resource: group, Metric: metric}, Namespace: "ns", Name: name,
		Selector: labels.Everything(), MetricSelector: nodes,
	})
}

func (r *rig) value(t *testing.T, resource, name, metric string) string {
	t.Helper()
	values, err := r.ask(t, resource, name, metric, labels.Everything())
	require.NoError(t, err, metric)
	require.Len(t, values, 1, metric)
	assert.Equal(t, name, values[0].Name)
	assert.Equal(t, "ns", values[0].Namespace)
	assert.WithinDuration(t, time.Now(), values[0].At, patience)
	return values[0].Quantity.String()
}

// becomes waits until a metric has a value.
func (r *rig) becomes(t *testing.T, resource, name, metric, want string) {
	t.Helper()
	require.Eventually(t, func() bool {
		// Not value, which ends the test: the condition is called in another goroutine.
		values, err := r.ask(t, resource, name, metric, labels.Everything())
		return err == nil && len(values) == 1 && values[0].Quantity.String() == want
	}, patience, time.Millisecond, "%s of %s %s to be %s", metric, resource, name, want)
	require.Equal(t, want, r.value(t, resource, name, metric))
}

// two nodes, one pod on each, and two MiniClusters.
func newFilledRig(t *testing.T) *rig {
	t.Helper()
	tenth, err := reserve.Parse("10%")
	require.NoError(t, err)
	r := newRig(t, Options{Reserve: tenth, Pools: map[string]labels.Selector{"batch": labels.SelectorFromSet(labels.Set{"pool": "batch"})}})
	r.addNode(t, "node-0", "32", "batch")
	r.addNode(t, "node-1", "24", "web")
	r.addPod(t, "a", "node-0", "1500m")
	r.addPod(t, "b", "node-1", "2")
	r.addPod(t, "m-0", "node-1", "4", mine, func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list("cpu", "4") })
	r.add(t, "m", "4", "cpu=5")
	r.add(t, "n", "8", "")
	r.run(t)
	return r
}

func TestSource(t *testing.T) {
	r := newFilledRig(t)
	for metric, want := range map[string]string{
		"cpu_capacity": "56", "cpu_allocatable": "56", "cpu_requests": "7500m", "cpu_remaining": "48500m",
		"mem_capacity": "128Gi", "mem_requests": "2Gi", "mem_remaining": "126Gi", "pod_remaining": "217",
		"nvidia_com_gpu_remaining": "6", "hugepages_2mi_allocatable": "4Mi", "nodes": "2",
		"cpu_capacity_total": "56k", "cpu_requests_total": "7500", "cpu_capacity_remaining": "48500",
		"mem_capacity_total": "134217728", "mem_capacity_remaining": "132120576", "pod_capacity_total": "220",
	} {
		assert.Equal(t, want, r.value(t, "services", DefaultService, metric), metric)
	}
	for metric, want := range map[string]string{
		"cpu_remaining": "47500m", "cpu_capacity_remaining": "47500", "cpu_requests": "3500m", "size_fitting": "11", "nodes": "2",
	} {
		assert.Equal(t, want, r.value(t, "miniclusters", "m", metric), metric)
	}
	// A deleted pod is no longer counted.
	require.NoError(t, r.kube.CoreV1().Pods("ns").Delete(t.Context(), "b", metav1.DeleteOptions{}))
	r.becomes(t, "miniclusters", "m", "cpu_requests", "1500m")
	// Nor is a pod that has ended.
	pod := r.addPod(t, "c", "node-0", "10")
	r.becomes(t, "miniclusters", "m", "cpu_requests", "11500m")
	pod.Status.Phase = corev1.PodSucceeded
	_, err := r.kube.CoreV1().Pods("ns").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(t, err)
	r.becomes(t, "miniclusters", "m", "cpu_requests", "1500m")
	// Nor is a deleted node.
	require.NoError(t, r.kube.CoreV1().Nodes().Delete(t.Context(), "node-1", metav1.DeleteOptions{}))
	r.becomes(t, "services", DefaultService, "nodes", "1")
}

func TestSourceSelects(t *testing.T) {
	r := newFilledRig(t)
	web := labels.SelectorFromSet(labels.Set{"pool": "web"})
	values, err := r.ask(t, "services", DefaultService, "cpu_requests", web)
	require.NoError(t, err)
	require.Len(t, values, 1)
	assert.Equal(t, "6", values[0].Quantity.String())

	values, err = r.ask(t, "services", "", "cpu_requests", nil)
	require.NoError(t, err)
	require.Len(t, values, 1, "any name of a Service works")
	values, err = r.ask(t, "services", "other", "cpu_requests", nil)
	require.NoError(t, err)
	assert.Empty(t, values)

	values, err = r.ask(t, "miniclusters", "", "size_fitting", nil)
	require.NoError(t, err)
	assert.Len(t, values, 2)
	values, err = r.source.CustomValues(t.Context(), metrics.Query{
		Info: metrics.Info{Resource: miniClusters, Metric: MetricSizeFitting}, Namespace: "ns",
		Selector: labels.SelectorFromSet(labels.Set{"kind": "8"}),
	})
	require.NoError(t, err)
	require.Len(t, values, 1)
	assert.Equal(t, "n", values[0].Name)
	values, err = r.ask(t, "miniclusters", "none", "size_fitting", nil)
	require.NoError(t, err)
	assert.Empty(t, values)
	_, err = r.ask(t, "miniclusters", "m", "size_fitting", web)
	assert.True(t, apierrors.IsBadRequest(err), "%v", err)
	assert.Empty(t, r.source.External())
}

// The recommended size is never one that the controller would reject.
func TestFittingWithinBounds(t *testing.T) {
	r := newFilledRig(t)
	bounded := func(minSize, maximum int32) {
		obj, ok, err := r.miniClusters.GetByKey("ns/m")
		require.True(t, ok && err == nil)
		mc := obj.(*v1alpha2.MiniCluster).DeepCopy()
		mc.Spec.MinSize, mc.Status.MaximumSize = minSize, maximum
		require.NoError(t, r.miniClusters.Update(mc))
	}
	assert.Equal(t, "11", r.value(t, "miniclusters", "m", MetricSizeFitting))
	bounded(0, 8)
	assert.Equal(t, "8", r.value(t, "miniclusters", "m", MetricSizeFitting), "its maximum")
	assert.Equal(t, "11", r.value(t, "miniclusters", "m", MetricPodsFitting), "regardless of its maximum")
	bounded(13, 20)
	assert.Equal(t, "13", r.value(t, "miniclusters", "m", MetricSizeFitting), "its minimum")
	assert.Equal(t, "47500m", r.value(t, "miniclusters", "m", "cpu_remaining"), "the rest is not requested")
}

func TestSourceErrors(t *testing.T) {
	r := newRig(t, Options{})
	_, err := r.ask(t, "services", DefaultService, "cpu_requests", nil)
	assert.True(t, apierrors.IsServiceUnavailable(err), "%v", err)

	r.add(t, "early", "", "")
	r.add(t, "wrong", "4", "a lot")
	r.run(t)
	_, err = r.ask(t, "miniclusters", "early", "size_fitting", nil)
	require.ErrorIs(t, err, errNoJob)
	assert.EqualError(t, err, "getting the pods of ns/early: the MiniCluster has no Job yet")
	_, err = r.ask(t, "miniclusters", "wrong", "size_fitting", nil)
	assert.True(t, apierrors.IsBadRequest(err), "%v", err)
	assert.EqualError(t, err, `spec.opportunistic.reserve[cpu] of MiniCluster ns/wrong: `+
		`"a lot" is neither a quantity, such as 30 or 64Gi, nor a percentage, such as 15%`)

	// The Job of a deleted MiniCluster of the same name is ignored.
	r.add(t, "again", "4", "")
	mc := &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "again", UID: "new"}}
	require.NoError(t, r.miniClusters.Update(mc))
	_, err = r.ask(t, "miniclusters", "again", "size_fitting", nil)
	assert.ErrorIs(t, err, errNoJob)
}

// Prometheus and autoscalers get the same values.
func TestAllNumbersAgree(t *testing.T) {
	r := newFilledRig(t)
	gauges := map[string]float64{}
	for name, family := range r.gather(t) {
		for _, m := range family {
			if strings.HasPrefix(name, "minicluster_paying_") || strings.HasPrefix(name, "minicluster_opportunistic_") {
				continue // autoscalers do not get these
			}
			key := name
			for _, label := range m.GetLabel() {
				if label.GetName() != "unit" {
					key += " " + label.GetName() + "=" + label.GetValue()
				}
			}
			gauges[key] = m.GetGauge().GetValue()
		}
	}
	compared := 0
	resources := map[string]string{"cpu": "cpu", "memory": "mem", "pods": "pod", "nvidia_com_gpu": "nvidia_com_gpu", "hugepages_2mi": "hugepages_2mi"}
	agree := func(key, resource, name, metric string, nodes labels.Selector) {
		values, err := r.ask(t, resource, name, metric, nodes)
		require.NoError(t, err)
		if len(values) == 0 {
			return
		}
		require.Contains(t, gauges, key)
		assert.Equal(t, gauges[key], values[0].Quantity.AsApproximateFloat64(), key) //nolint:testifylint // exactly
		compared++
	}
	for kind := range strings.FieldsSeq("capacity allocatable requests remaining") {
		for label, prefix := range resources {
			for pool, selector := range map[string]labels.Selector{"all": labels.Everything(), "batch": r.source.options.Pools["batch"]} {
				agree(fmt.Sprintf("minicluster_nodes_%s nodes=%s resource=%s", kind, pool, label), "services", DefaultService, prefix+"_"+kind, selector)
			}
			if kind == "capacity" {
				continue
			}
			for _, name := range []string{"m", "n"} {
				agree(fmt.Sprintf("minicluster_eligible_nodes_%s minicluster=%s namespace=ns resource=%s", kind, name, label), "miniclusters", name, prefix+"_"+kind, nil)
			}
		}
	}
	for _, name := range []string{"m", "n"} {
		agree("minicluster_size_fitting minicluster="+name+" namespace=ns", "miniclusters", name, MetricSizeFitting, nil)
		agree("minicluster_pods_fitting minicluster="+name+" namespace=ns", "miniclusters", name, MetricPodsFitting, nil)
	}
	agree("minicluster_nodes nodes=all", "services", DefaultService, MetricNodes, nil)
	for _, info := range r.source.Custom() {
		if info.Resource == services && (strings.HasSuffix(info.Metric, "_total") || strings.HasSuffix(info.Metric, "_capacity_remaining")) {
			agree(info.Metric, "services", DefaultService, info.Metric, nil)
		}
	}
	assert.GreaterOrEqual(t, compared, len(gauges)-1, "all except the nodes of the pool")
	assert.Greater(t, compared, 70)
}

// gather returns the metrics for Prometheus.
func (r *rig) gather(t *testing.T) map[string][]*dto.Metric {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(NewCollector(r.source)))
	families, err := registry.Gather()
	require.NoError(t, err)
	metrics := map[string][]*dto.Metric{}
	for _, family := range families {
		metrics[family.GetName()] = family.GetMetric()
	}
	return metrics
}

// An autoscaler on GPUs must still get the metric when the last GPU is in use.
func TestNothingLeftIsANumber(t *testing.T) {
	r := newFilledRig(t)
	r.addPod(t, "gpus", "node-0", "1", mine, func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list("nvidia.com/gpu", "6") })
	const metric = "nvidia_com_gpu_remaining"
	r.becomes(t, "services", DefaultService, metric, "0")
	assert.Contains(t, r.source.Custom(), metrics.Info{Resource: services, Metric: metric})
	assert.Contains(t, r.source.Custom(), metrics.Info{Resource: miniClusters, Metric: metric})
	assert.Equal(t, "6", r.value(t, "miniclusters", "m", metric))
	assert.Equal(t, "0", r.value(t, "services", DefaultService, "hugepages_2mi_requests"))
	labels := 0
	for _, m := range r.gather(t)["minicluster_nodes_remaining"] {
		for _, label := range m.GetLabel() {
			if label.GetValue() == "nvidia_com_gpu" {
				labels++
			}
		}
	}
	assert.Equal(t, 2, labels, "of all nodes, and of the pool")
}

// Resource names that only pods use become no metrics. Two resources whose metric names are equal are not an error.
func TestNamesOfResources(t *testing.T) {
	r := newFilledRig(t)
	r.addPod(t, "inventive", "node-0", "1", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = list("cpu", "1", "example.com/a.b", "1", "example.com/a_b", "1")
	})
	node := testNode("node-2", "cpu", "8", "example.com/c.d", "3", "example.com/c_d", "5")
	_, err := r.kube.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	require.NoError(t, err)
	r.becomes(t, "services", DefaultService, "nodes", "3")
	r.becomes(t, "services", DefaultService, "cpu_requests", "8500m")
	assert.Equal(t, "3", r.value(t, "services", DefaultService, "example_com_c_d_capacity"), "the first by name")
	values, err := r.ask(t, "services", DefaultService, "example_com_a_b_requests", nil)
	require.NoError(t, err)
	assert.Empty(t, values)
	assert.NotEmpty(t, r.gather(t)["minicluster_nodes"])
}

// TestResourceOfNoNode checks GPUs from a device class, which pods request and no node lists.
func TestResourceOfNoNode(t *testing.T) {
	r := newFilledRig(t)
	r.addPod(t, "m-1", "node-1", "4", mine, func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = list("cpu", "4", "example.com/gpu", "1")
	})
	require.Eventually(t, func() bool {
		_, err := r.ask(t, "miniclusters", "m", MetricSizeFitting, nil)
		return errors.Is(err, errUncounted)
	}, patience, time.Millisecond)
	_, err := r.ask(t, "miniclusters", "m", MetricSizeFitting, nil)
	assert.EqualError(t, err, "no size_fitting of MiniCluster ns/m: no schedulable node has a resource that its pods use: [example.com/gpu]")
	assert.Equal(t, "47500m", r.value(t, "miniclusters", "m", "cpu_remaining"))
	assert.Len(t, r.gather(t)["minicluster_size_fitting"], 1, "that of the other MiniCluster")
	values, err := r.ask(t, "miniclusters", "", MetricSizeFitting, nil)
	require.NoError(t, err)
	assert.Len(t, values, 1)
}

// Before the pods are known, all capacity would be free.
func TestNothingIsToldTooEarly(t *testing.T) {
	r := newRig(t, Options{})
	r.source.watcher.state.setNode(newNodeRecord(testNode("node-0", "cpu", "32")))
	assert.Empty(t, r.gather(t))
}
