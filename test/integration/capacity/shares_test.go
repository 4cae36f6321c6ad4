package capacity_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// shares are opportunistic MiniClusters with pods of four cores, which fill all nodes.
type shares struct {
	t     *testing.T
	u     user.Clients
	names []string
	seen  map[string]*sizes
}

// grow adds opportunistic MiniClusters until there are n.
func (s *shares) grow(n int) {
	s.t.Helper()
	four := corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(payingCores, resource.DecimalSI)}
	for len(s.names) < n {
		mc := oneCore(fmt.Sprintf("filler-%d", len(s.names)), 1)
		mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Requests: four, Limits: four}
		mc.Spec.MinSize, mc.Spec.MaxSize = 1, cores/payingCores
		mc.Spec.Opportunistic = &v1alpha2.Opportunistic{}
		mc.Spec.Autoscaling = &v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingFitting}
		apply(s.t, s.u, mc)
		s.names = append(s.names, mc.Name)
		s.seen[mc.Name] = record(s.t, s.u, mc.Name)
	}
}

// become waits until the sizes add up to a number of pods, differ by one at most, and all pods are ready. It returns
// how often each size has changed.
func (s *shares) become(total int32) map[string]int {
	s.t.Helper()
	user.Eventually(s.t, patience, fmt.Sprintf("%d pods of %d fillers", total, len(s.names)), func(ctx context.Context) (string, error) {
		var all []int32
		var sum int32
		ready := true
		for _, name := range s.names {
			mc, err := s.u.MiniClusters().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			all, sum = append(all, mc.RequestedSize()), sum+mc.RequestedSize()
			ready = ready && mc.Status.Size == mc.RequestedSize() && mc.Status.ReadySize == mc.Status.Size
		}
		if !ready || sum != total || slices.Max(all)-slices.Min(all) > 1 {
			return fmt.Sprintf("sizes %v, sum %d, all ready: %t", all, sum, ready), nil
		}
		return "", nil
	})
	changes := map[string]int{}
	for name, sizes := range s.seen {
		changes[name] = len(sizes.take())
	}
	return changes
}

// TestShares checks that two, three and ten opportunistic MiniClusters get equal shares, that none oscillates, that a
// paying pod takes one pod of one of them, and that a cordoned node changes no size.
func TestShares(t *testing.T) {
	if *nodes != 6 {
		t.Skip("this scenario is about six nodes with 184 cores")
	}
	const all = cores / payingCores
	kube := suite.Cluster(t)
	s := &shares{t: t, u: user.In(t, kube, clustertest.Namespace(t, kube)), seen: map[string]*sizes{}}
	empty(t, s.u)
	for _, n := range []int{2, 3, 10} {
		added := n - len(s.names)
		s.grow(n)
		changes := s.become(all)
		t.Logf("%d fillers: changes %v", n, changes)
		for name, times := range changes {
			// Each addition may change each size, and a new one begins at its minimum.
			assert.LessOrEqual(t, times, added+1, "%d fillers: %s", n, name)
		}
	}

	load := payingLoad{user: s.u}
	load.become(t, 1)
	changes := s.become(all - 1)
	t.Logf("a paying pod: changes %v", changes)
	total := 0
	for _, times := range changes {
		total += times
	}
	assert.LessOrEqual(t, total, len(s.names), "at most one change of each size")

	cordon := func(on bool) {
		_, err := s.u.Kube.CoreV1().Nodes().Patch(context.WithoutCancel(t.Context()), "node-5", types.StrategicMergePatchType,
			fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, on), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	t.Cleanup(func() { cordon(false) })
	cordon(true)
	user.Eventually(t, patience, "five schedulable nodes", func(ctx context.Context) (string, error) {
		n, err := metric(ctx, s.u, "services/cluster-metrics", "nodes")
		if err != nil || n == "5" {
			return "", err
		}
		return n + " nodes", nil
	})
	for _, name := range s.names {
		mc, err := s.u.MiniClusters().Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
		fitting, err := metric(t.Context(), s.u, "miniclusters.flux-framework.org/"+name, "size_fitting")
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(mc.RequestedSize()), fitting, "%s keeps its size", name)
	}
	for name, times := range s.become(all - 1) {
		assert.Zero(t, times, "%s", name)
	}
}
