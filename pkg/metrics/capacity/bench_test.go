package capacity

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
)

// BenchmarkScrape measures one scrape with 1,000 MiniClusters of ten kinds on 100 nodes with 5,000 pods, of which 50
// are pending.
func BenchmarkScrape(b *testing.B) {
	miniClusters := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	source, err := NewSource(fake.NewClientset(), listers.NewMiniClusterLister(miniClusters), func() bool { return true }, Options{})
	require.NoError(b, err)
	source.watcher.state = bigState()
	addPods(source.watcher.state, 50, "", "40")
	for i := range 1000 {
		meta := metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("m%d", i), UID: types.UID(fmt.Sprint(i))}
		mc := &v1alpha2.MiniCluster{ObjectMeta: meta}
		mc.Spec.Opportunistic = opportunistic(fmt.Sprint(i % 10))
		require.NoError(b, miniClusters.Add(mc))
		pod := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu", fmt.Sprint(1+i%10))}}}
		w := workload{
			Job: types.NamespacedName{Namespace: "ns", Name: meta.Name}, Requests: podRequests(&pod), Placement: newPlacement(&pod.Spec),
		}
		require.NoError(b, source.watcher.jobs.Add(&jobRecord{ObjectMeta: meta, owner: meta.UID, workload: w}))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(source))
	for b.Loop() {
		families, err := registry.Gather()
		require.NoError(b, err)
		require.NotEmpty(b, families)
	}
}
