package hpa_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

// interval is the time between two checks. Many tests check at the same time, for long.
const interval = 200 * time.Millisecond

// fixture is the namespace of a test, and the resource usage of the pods in it.
type fixture struct {
	*user.Fixture
	// loads are the annotations of the current and future pods of a selector.
	loads map[string]map[string]string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Fixture: user.NewFixture(t, suite.Cluster(t)), loads: map[string]map[string]string{}}
	f.Interval, f.Patience = interval, patience
	f.Report = func() string {
		hpas, err := f.Cluster.Kubectl(context.WithoutCancel(f.Context()), "describe", "hpa", "--namespace="+f.Namespace)
		return fmt.Sprint(hpas, err)
	}
	return f
}

// load sets the CPU usage of the pods of a selector, from now on.
func (f *fixture) load(selector, cpu string) {
	f.Helper()
	f.loads[selector] = map[string]string{cluster.AnnotationCPU: cpu}
	require.NoError(f, f.keepLoads(f.Context()))
}

func (f *fixture) keepLoads(ctx context.Context) error {
	for selector, annotations := range f.loads {
		pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp != nil || pod.Annotations[cluster.AnnotationCPU] == annotations[cluster.AnnotationCPU] {
				continue
			}
			// Pods may be deleted concurrently.
			if err := f.Cluster.AnnotatePod(ctx, f.Namespace, pod.Name, annotations); err != nil {
				f.Logf("%v", err)
			}
		}
	}
	return nil
}

// eventually waits until a check returns "". Pods that start meanwhile get their load.
func (f *fixture) eventually(what string, check func(context.Context) (string, error)) {
	f.Helper()
	f.Eventually(what, func(ctx context.Context) (string, error) {
		if err := f.keepLoads(ctx); err != nil {
			return "", err
		}
		return check(ctx)
	})
}

// apply applies a document like a user, in the test's namespace instead of its own.
func (f *fixture) apply(document string) string {
	f.Helper()
	document = strings.ReplaceAll(document, "  namespace: flux-operator\n", "")
	return f.Apply(document)
}

// example reads a file of the autoscaling examples.
func example(t *testing.T, name string) string {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(root, "examples", "elasticity", "horizontal-autoscaler", filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(content)
}

// create creates a MiniCluster of two pods and at most four, which request 100m of CPU each, and waits until it is
// ready.
func (f *fixture) create(name string, mods ...func(*v1alpha2.MiniCluster)) {
	f.Helper()
	shape := func(mc *v1alpha2.MiniCluster) {
		mc.Spec.MaxSize = 4
		mc.Spec.Containers[0].Resources = requests("100m")
		// Simulated pods have no agent that could drain ranks.
		mc.Spec.ScaleDown = &v1alpha2.ScaleDown{DrainTimeoutSeconds: new(int32(0))}
	}
	f.Create(name, 2, append([]func(*v1alpha2.MiniCluster){shape}, mods...)...)
	f.waitForSize(name, 2)
}

// waitForSize waits until a MiniCluster has a size and its pods are ready.
func (f *fixture) waitForSize(name string, size int32) {
	f.Helper()
	f.eventually(fmt.Sprintf("size %d of %s", size, name), func(ctx context.Context) (string, error) {
		return f.Settled(ctx, name, size)
	})
}

// autoscale creates an autoscaler of a target on a metric, between two sizes. It shrinks without delay.
func (f *fixture) autoscale(target autoscalingv2.CrossVersionObjectReference, least, most int32, metric autoscalingv2.MetricSpec) {
	f.Helper()
	_, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Create(f.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: target.Name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: target, MinReplicas: &least, MaxReplicas: most, Metrics: []autoscalingv2.MetricSpec{metric},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(0))},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
}

func miniCluster(name string) autoscalingv2.CrossVersionObjectReference {
	return autoscalingv2.CrossVersionObjectReference{APIVersion: v1alpha2.SchemeGroupVersion.String(), Kind: "MiniCluster", Name: name}
}

// half is half of the CPU that pods request, on average.
func half() autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(50))},
		},
	}
}

// waitForHPA waits until an autoscaler passes a check.
func (f *fixture) waitForHPA(name, what string, check func(*autoscalingv2.HorizontalPodAutoscaler) string) {
	f.Helper()
	f.eventually("autoscaler "+name+" "+what, func(ctx context.Context) (string, error) {
		hpa, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return check(hpa), nil
	})
}

// utilization returns the last measurement of an autoscaler, in percent of the request; -1 if there is none.
func utilization(hpa *autoscalingv2.HorizontalPodAutoscaler) int32 {
	for _, metric := range hpa.Status.CurrentMetrics {
		switch {
		case metric.Resource != nil && metric.Resource.Current.AverageUtilization != nil:
			return *metric.Resource.Current.AverageUtilization
		case metric.ContainerResource != nil && metric.ContainerResource.Current.AverageUtilization != nil:
			return *metric.ContainerResource.Current.AverageUtilization
		}
	}
	return -1
}

// measures returns a check of the measurement of an autoscaler, with both ends included.
func measures(from, to int32) func(*autoscalingv2.HorizontalPodAutoscaler) string {
	return func(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
		if got := utilization(hpa); got < from || got > to {
			return fmt.Sprintf("measures %d%%, not %d%% to %d%%", got, from, to)
		}
		return ""
	}
}

// lacks describes the condition of an autoscaler if it is not the expected one.
func lacks(hpa *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason string) string {
	for _, c := range hpa.Status.Conditions {
		if c.Type == kind && c.Status == status && c.Reason == reason {
			return ""
		}
	}
	return fmt.Sprintf("conditions are %+v", hpa.Status.Conditions)
}

// follow watches a Job and the pods of its MiniCluster. The returned function stops the watch and returns the largest
// size of the Job.
func (f *fixture) follow(name string) func() int32 {
	f.Helper()
	w, err := f.Kube.BatchV1().Jobs(f.Namespace).Watch(f.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	require.NoError(f, err)
	var largest int32
	var wg sync.WaitGroup
	wg.Go(func() {
		for event := range w.ResultChan() {
			if job, ok := event.Object.(*batchv1.Job); ok {
				largest = max(largest, *job.Spec.Parallelism, *job.Spec.Completions, job.Status.Active)
			}
		}
	})
	return func() int32 {
		w.Stop()
		wg.Wait()
		return largest
	}
}

func requests(cpu string) *corev1.ResourceRequirements {
	return &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}
}
