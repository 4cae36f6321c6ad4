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
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

// The numbers of examples/opportunistic on the nodes of the tutorial.
const (
	cores   = 184
	reserve = 30
	// Cores of a paying pod.
	payingCores = 4
)

// The scenario of the tutorial: the paying load grows and shrinks, and a MiniCluster uses the rest, except for the
// reserve. Of 17 paying pods, 7 fit into the reserve; the others have to wait until the MiniCluster shrinks. Its size
// does not change more often than the load, and never too far.
func TestFill(t *testing.T) {
	if *nodes != 6 {
		t.Skip("this scenario needs six nodes with 184 cores")
	}
	kube := suite.Cluster(t)
	namespace := clustertest.Namespace(t, kube)
	u := user.In(t, kube, namespace)
	empty(t, u)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	_, err = kube.Kubectl(t.Context(), "apply", "--validate=strict", "-n", namespace, "-f", filepath.Join(root, "examples", "opportunistic"))
	require.NoError(t, err)
	sizes := record(t, u, "filler")

	settle(t, u, 0)
	grown := sizes.take()
	assert.LessOrEqual(t, len(grown), 1, "from 1 to all that is there in one step: %v", grown)
	t.Logf("sizes at first %v", grown)

	load := payingLoad{user: u}
	for _, paying := range []int{17, 0, 12, 5} {
		way, changes := []int32{fits(len(load.pods))}, max(paying-len(load.pods), len(load.pods)-paying)
		load.become(t, paying)
		settle(t, u, paying)
		seen := sizes.take()
		t.Logf("%d paying pods: sizes %v", paying, seen)
		assert.LessOrEqual(t, len(seen), changes, "not more changes than of the load: %v", seen)
		way = append(way, seen...)
		for i := range seen {
			assert.True(t, between(way[i+1], way[i], fits(paying)), "straight to %d, never too far: %v", fits(paying), way)
		}
	}
}

// fits returns how many pods of the MiniCluster fit beside a number of paying ones.
func fits(paying int) int32 { return int32(cores - reserve - paying*payingCores) } //nolint:gosec // small

// between reports whether a size lies on the path between two sizes, without the first one.
func between(size, from, to int32) bool {
	return from < size && size <= to || to <= size && size < from
}

// settle waits until everything has settled: exactly the reserve is free.
func settle(t *testing.T, u user.Clients, paying int) {
	t.Helper()
	user.Eventually(t, patience, fmt.Sprintf("%d paying pods", paying), func(ctx context.Context) (string, error) {
		mc, err := u.MiniClusters().Get(ctx, "filler", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		list, err := u.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		bound, free := 0, int64(cores)
		for _, pod := range list.Items {
			if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodFailed {
				continue
			}
			free -= pod.Spec.Containers[0].Resources.Requests.Cpu().Value()
			if pod.Labels["app"] == "paying" {
				bound++
			}
		}
		if mc.Status.ReadySize != fits(paying) || mc.Status.Size != fits(paying) || bound != paying || free != reserve {
			return fmt.Sprintf("spec.size %d, size %d, ready %d, %d paying pods are placed, %d cores are free; want %d",
				mc.RequestedSize(), mc.Status.Size, mc.Status.ReadySize, bound, free, fits(paying)), nil
		}
		return "", nil
	})
}

// payingLoad are pods that take precedence.
type payingLoad struct {
	user user.Clients
	pods []string
	// made is the number of pods that were created: each has its own name.
	made int
}

// become changes the load to a number of pods, one after the other.
func (l *payingLoad) become(t *testing.T, n int) {
	t.Helper()
	pods := l.user.Kube.CoreV1().Pods(l.user.Namespace)
	for len(l.pods) < n {
		l.made++
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("paying-%d", l.made), Labels: map[string]string{"app": "paying"}}}
		pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "none", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(payingCores, resource.DecimalSI)},
		}}}
		_, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
		require.NoError(t, err)
		l.pods = append(l.pods, pod.Name)
	}
	for len(l.pods) > n {
		require.NoError(t, pods.Delete(t.Context(), l.pods[0], metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
		l.pods = l.pods[1:]
	}
}

// sizes are the sizes of a MiniCluster over time, without repetitions.
type sizes struct {
	mu   sync.Mutex
	seen []int32
	last int32
}

// take returns the sizes since the last call.
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
