package hpa_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// patience is long because a metrics-server measures every 10 s and needs two measurements for a rate, because the
// autoscaler has its own interval, and because the machine may be busy. It is not a measure of speed.
const patience = 5 * time.Minute

// The metrics-server reports the usage in the annotations of simulated pods, for each container.
func TestUsageIsMeasured(t *testing.T) {
	t.Parallel()
	kube := suite.Cluster(t)
	namespace := clustertest.Namespace(t, kube)
	for name, annotations := range map[string]map[string]string{
		"idle": nil,
		"busy": {cluster.AnnotationCPU: "250m", cluster.AnnotationMemory: "64Mi"},
		"half": {cluster.AnnotationCPU: "90m", cluster.AnnotationUsageContainer: "second"},
	} {
		_, err := kube.Client().CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "first", Image: "x"}, {Name: "second", Image: "x"}}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	wanted := []struct {
		pod, container string
		cpu            float64
		memory         string
	}{
		{"idle", "first", 1, "1Mi"},
		{"busy", "first", 250, "64Mi"},
		{"busy", "second", 250, "64Mi"},
		{"half", "first", 1, "1Mi"},
		{"half", "second", 90, "1Mi"},
	}
	user.Eventually(t, patience, "measurements", func(ctx context.Context) (string, error) {
		used, err := usage(ctx, kube, namespace)
		if err != nil {
			return "", err
		}
		for _, want := range wanted {
			got := used[want.pod][want.container]
			// A rate is rounded up, and its clock is not the one that it was generated with: they differ more while the
			// machine is busy.
			if cpu := float64(got.Cpu().MilliValue()); math.Abs(cpu-want.cpu) > 1+want.cpu/10 {
				return fmt.Sprintf("CPU of %s in %s is %vm", want.container, want.pod, cpu), nil
			}
			if !resource.MustParse(want.memory).Equal(got[corev1.ResourceMemory]) {
				return fmt.Sprintf("memory of %s in %s is %v", want.container, want.pod, got.Memory()), nil
			}
		}
		return "", nil
	})

	require.NoError(t, kube.AnnotatePod(t.Context(), namespace, "idle", map[string]string{cluster.AnnotationCPU: "2"}))
	user.Eventually(t, patience, "more CPU", func(ctx context.Context) (string, error) {
		used, err := usage(ctx, kube, namespace)
		cpu := used["idle"]["first"]
		if cpu.Cpu().MilliValue() < 1500 {
			return "it uses " + cpu.Cpu().String(), err
		}
		return "", err
	})
}

// podUsage is the usage of each container of a pod.
type podUsage map[string]corev1.ResourceList

// usage queries the metrics-server for the usage of the pods of a namespace.
func usage(ctx context.Context, kube *cluster.Cluster, namespace string) (map[string]podUsage, error) {
	text, err := kube.Client().CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/namespaces", namespace, "pods").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata   metav1.ObjectMeta
			Containers []struct {
				Name  string
				Usage corev1.ResourceList
			}
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	used := map[string]podUsage{}
	for _, item := range list.Items {
		used[item.Metadata.Name] = podUsage{}
		for _, container := range item.Containers {
			used[item.Metadata.Name][container.Name] = container.Usage
		}
	}
	return used, nil
}
