package hpa_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
)

// withHelper adds a sidecar and a services pod to a MiniCluster.
func withHelper(cpu string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].RunFlux = true
		mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: "helper", Image: "helper:test", Command: "sleep infinity"})
		if cpu != "" {
			mc.Spec.Containers[1].Resources = requests(cpu)
		}
		mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry:test", Resources: requests("100m")}}
	}
}

func onlyFlux(container string) autoscalingv2.MetricSpec {
	resource := half().Resource
	return autoscalingv2.MetricSpec{
		Type:              autoscalingv2.ContainerResourceMetricSourceType,
		ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: resource.Name, Container: container, Target: resource.Target},
	}
}

// TestWhatCounts checks which CPU usage an autoscaler measures: all containers of the cluster's pods, or the selected
// one, and never that of the services pod.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("all", withHelper("100m"))
	f.create("one", withHelper("100m"))
	f.create("lacking", withHelper(""))
	for _, name := range []string{"all", "one", "lacking"} {
		f.busyHelper(name)
	}
	// Flux itself has no load. The minimal size prevents the autoscalers from resizing.
	f.autoscale(miniCluster("all"), 2, 4, half())
	f.autoscale(miniCluster("one"), 2, 4, onlyFlux("one"))
	f.autoscale(miniCluster("lacking"), 2, 4, half())

	// The helper uses 91 % of its request, which equals the request of the other container.
	f.waitForHPA("all", "to count every container", measures(40, 52))
	f.waitForHPA("one", "to count one container", measures(1, 2))
	f.waitForHPA("lacking", "to complain", func(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
		return lacks(hpa, autoscalingv2.ScalingActive, corev1.ConditionFalse, "FailedGetResourceMetric")
	})
	for _, name := range []string{"all", "one", "lacking"} {
		f.waitForSize(name, 2)
	}
}

// busyHelper checks that the selector of the status selects exactly the cluster's pods, and makes the sidecar in each
// of them use 91m, and the services pod as much as a node has.
func (f *fixture) busyHelper(name string) {
	f.Helper()
	mc, err := f.MiniClusters().Get(f.Context(), name, metav1.GetOptions{})
	require.NoError(f, err)
	pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(f.Context(), metav1.ListOptions{LabelSelector: mc.Status.Selector})
	require.NoError(f, err)
	require.Len(f, pods.Items, 2)
	for _, pod := range pods.Items {
		assert.Contains(f, []string{name + "-0", name + "-1"}, pod.Spec.Hostname)
		require.NoError(f, f.Cluster.AnnotatePod(f.Context(), f.Namespace, pod.Name, map[string]string{
			cluster.AnnotationCPU: "91m", cluster.AnnotationUsageContainer: "helper",
		}))
	}
	require.NoError(f, f.Cluster.AnnotatePod(f.Context(), f.Namespace, name+"-services", map[string]string{cluster.AnnotationCPU: "60"}))
}
