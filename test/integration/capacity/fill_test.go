package capacity_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/cluster/kubebin"
	"minicluster.internal/operator/test/integration/user"
)

// The numbers of examples/opportunistic on the nodes of the tutorial.
const (
	cores   = 184
	reserve = 30
	// paying pods have so many cores each.
	payingCores = 4
)

// The scenario of the tutorial: paying load comes and goes, and a MiniCluster takes the rest, down to the reserve. Of
// 17 paying pods, 7 find room in the reserve; the others have to wait until the MiniCluster gives way.
func TestFill(t *testing.T) {
	if *nodes != 6 {
		t.Skip("this scenario is about six nodes with 184 cores")
	}
	kube := suite.Cluster(t)
	namespace := clustertest.Namespace(t, kube)
	u := user.In(t, kube, namespace)
	user.Eventually(t, patience, "an empty cluster", func(ctx context.Context) (string, error) {
		list, err := u.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil || len(list.Items) == 0 {
			return "", err
		}
		return "pods of other tests are still there", nil
	})
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	_, err = kube.Kubectl(t.Context(), "apply", "--validate=strict", "-n", namespace, "-f", filepath.Join(root, "examples", "opportunistic"))
	require.NoError(t, err)
	sizes := record(t, u, "filler")

	settle := func(paying int) int32 {
		t.Helper()
		want := int32(cores - reserve - paying*payingCores) //nolint:gosec // small
		user.Eventually(t, patience, fmt.Sprintf("%d paying pods", paying), func(ctx context.Context) (string, error) {
			mc, err := u.MiniClusters().Get(ctx, "filler", metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			bound, err := boundPaying(ctx, u)
			if err != nil {
				return "", err
			}
			if mc.Status.ReadySize != want || mc.Status.Size != want || bound != paying {
				return fmt.Sprintf("spec.size %d, size %d, ready %d, and %d paying pods are placed; want %d",
					mc.RequestedSize(), mc.Status.Size, mc.Status.ReadySize, bound, want), nil
			}
			return "", nil
		})
		return want
	}
	alone := settle(0)
	grown := sizes.take()
	assert.LessOrEqual(t, len(grown), 1, "from 1 to all that is there in one step: %v", grown)

	for i := range 17 {
		require.NoError(t, createPaying(t.Context(), u, i))
	}
	least := settle(17)
	down := sizes.take()
	assert.LessOrEqual(t, len(down), 17, "not more changes than of the load: %v", down)
	for i := range down {
		assert.True(t, down[i] >= least && (i == 0 || down[i] < down[i-1]), "straight down, never too far: %v", down)
	}

	require.NoError(t, u.Kube.CoreV1().Pods(namespace).DeleteCollection(t.Context(),
		metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, metav1.ListOptions{LabelSelector: "app=paying"}))
	require.Equal(t, alone, settle(0))
	up := sizes.take()
	assert.LessOrEqual(t, len(up), 17, "not more changes than of the load: %v", up)
	for i := range up {
		assert.True(t, up[i] <= alone && (i == 0 || up[i] > up[i-1]), "straight up, never too far: %v", up)
	}
	t.Logf("sizes: first %v, when load came %v, when it went %v", grown, down, up)
}

func createPaying(ctx context.Context, u user.Clients, i int) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("paying-%d", i), Labels: map[string]string{"app": "paying"}}}
	pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "none", Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(payingCores, resource.DecimalSI)},
	}}}
	if _, err := u.Kube.CoreV1().Pods(u.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making paying pod %d: %w", i, err)
	}
	return nil
}

// boundPaying is how many paying pods are placed.
func boundPaying(ctx context.Context, u user.Clients) (int, error) {
	list, err := u.Kube.CoreV1().Pods(u.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=paying"})
	if err != nil {
		return 0, fmt.Errorf("listing paying pods: %w", err)
	}
	bound := 0
	for _, pod := range list.Items {
		if pod.Spec.NodeName != "" {
			bound++
		}
	}
	return bound, nil
}

// sizes are the sizes that a MiniCluster was given, without repetitions.
type sizes struct {
	mu   sync.Mutex
	seen []int32
	last int32
}

// take returns what was seen since the last time.
func (s *sizes) take() []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// record watches spec.size until the test ends.
func record(t *testing.T, u user.Clients, name string) *sizes {
	t.Helper()
	mc, err := u.MiniClusters().Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	s := &sizes{last: mc.RequestedSize()}
	watcher, err := u.MiniClusters().Watch(t.Context(), metav1.ListOptions{
		FieldSelector: "metadata.name=" + name, ResourceVersion: mc.ResourceVersion,
	})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watcher.ResultChan() {
			s.see(event.Object)
		}
	}()
	t.Cleanup(func() { watcher.Stop(); <-done })
	return s
}

func (s *sizes) see(object runtime.Object) {
	mc, ok := object.(*v1alpha2.MiniCluster)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := mc.RequestedSize(); n != s.last {
		s.last = n
		s.seen = append(s.seen, n)
	}
}
