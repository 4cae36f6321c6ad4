package capacity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// TestFragments: a paying pod of four cores runs in a cluster whose free cores are fragments, and so does an ordinary
// MiniCluster. The filler grows again to what is then free. spec.autoscaling makes its autoscaler.
func TestFragments(t *testing.T) {
	if *nodes != 6 {
		t.Skip("this scenario is about six nodes with 184 cores")
	}
	const spare = 8
	kube := suite.Cluster(t)
	u := user.In(t, kube, clustertest.Namespace(t, kube))
	empty(t, u)
	filler := oneCore("filler", 1)
	filler.Spec.MinSize, filler.Spec.MaxSize = 1, cores
	filler.Spec.Opportunistic = &v1alpha2.Opportunistic{Reserve: map[corev1.ResourceName]intstr.IntOrString{"cpu": intstr.FromInt32(spare)}}
	filler.Spec.Autoscaling = &v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingFitting}
	apply(t, u, filler)
	becomes(t, u, "filler", cores-spare)

	sizes := record(t, u, "filler")
	load, begin := payingLoad{user: u}, time.Now()
	load.become(t, 1)
	user.Eventually(t, patience, "a paying pod that runs", func(ctx context.Context) (string, error) {
		pod, err := u.Kube.CoreV1().Pods(u.Namespace).Get(ctx, load.pods[0], metav1.GetOptions{})
		if err != nil || pod.Spec.NodeName != "" {
			return "", err
		}
		return "it is pending", nil
	})
	t.Logf("the paying pod was bound after %s", time.Since(begin).Round(time.Second))
	becomes(t, u, "filler", cores-spare-payingCores)
	seen := sizes.take()
	t.Logf("sizes of the filler %v", seen)
	require.NotEmpty(t, seen)
	require.LessOrEqual(t, len(seen), 2, "it shrinks in one period, and grows when the pod is bound: %v", seen)
	require.Less(t, seen[0], int32(cores-spare), "it shrinks once")

	apply(t, u, oneCore("ordinary", 2*spare))
	becomes(t, u, "ordinary", 2*spare)
	becomes(t, u, "filler", cores-spare-payingCores-2*spare)
	seen = sizes.take()
	t.Logf("sizes of the filler beside the MiniCluster %v", seen)
	require.NotEmpty(t, seen)
	require.True(t, monotonic(seen) || monotonic(seen[:len(seen)-1]), "it shrinks, and grows once at the end: %v", seen)
}

// oneCore returns a MiniCluster with pods of one core.
func oneCore(name string, size int32) *v1alpha2.MiniCluster {
	mc := user.New(name, size)
	mc.Spec.Interactive = true
	one := corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(1, resource.DecimalSI)}
	mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Requests: one, Limits: one}
	return mc
}

func apply(t *testing.T, u user.Clients, mc *v1alpha2.MiniCluster) {
	t.Helper()
	_, err := u.MiniClusters().Create(t.Context(), mc, metav1.CreateOptions{})
	require.NoError(t, err)
}

// becomes waits until a MiniCluster has a size, and all its pods are ready.
func becomes(t *testing.T, u user.Clients, name string, size int32) {
	t.Helper()
	user.Eventually(t, patience, fmt.Sprintf("size %d of %s", size, name), func(ctx context.Context) (string, error) {
		mc, err := u.MiniClusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if mc.RequestedSize() == size && mc.Status.Size == size && mc.Status.ReadySize == size {
			return "", nil
		}
		return fmt.Sprintf("spec.size %d, size %d, ready %d: %v", mc.RequestedSize(), mc.Status.Size, mc.Status.ReadySize, mc.Status.Conditions), nil
	})
}

// monotonic reports whether numbers only grow or only shrink.
func monotonic(all []int32) bool {
	down := slices.Clone(all)
	slices.Reverse(down)
	return slices.IsSorted(all) || slices.IsSorted(down)
}

// empty waits until there is nothing of other tests, also for the metrics API server: it would report a smaller size
// at first, and a MiniCluster would grow in several steps.
func empty(t *testing.T, u user.Clients) {
	t.Helper()
	user.Eventually(t, patience, "the end of the pods of other tests", func(ctx context.Context) (string, error) {
		mcs, err := u.Flux.FluxFrameworkV1alpha2().MiniClusters(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		pods, err := u.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		counted, err := metric(ctx, u, "services/cluster-metrics", "pod_requests_total")
		if err != nil || len(mcs.Items) == 0 && len(pods.Items) == 0 && counted == "0" {
			return "", err
		}
		return fmt.Sprintf("%d MiniClusters, %d pods; the metrics API server counts %s", len(mcs.Items), len(pods.Items), counted), nil
	})
}

// metric returns the value of a custom metric.
func metric(ctx context.Context, u user.Clients, object, name string) (string, error) {
	raw, err := u.Kube.Discovery().RESTClient().Get().AbsPath(
		"/apis/custom.metrics.k8s.io/v1beta2/namespaces/" + u.Namespace + "/" + object + "/" + name).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("getting %s of %s: %w", name, object, err)
	}
	var list struct{ Items []struct{ Value string } }
	if err := json.Unmarshal(raw, &list); err != nil || len(list.Items) != 1 {
		return "", fmt.Errorf("reading %s of %s: %w", name, object, err)
	}
	return list.Items[0].Value, nil
}
