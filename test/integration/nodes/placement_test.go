package nodes_test

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

var (
	placementPods  = flag.Int("placement-pods", 24, "number of pods in TestPlacement")
	placementNodes = flag.Int("placement-nodes", 12, "number of nodes in TestPlacement")
)

// TestPlacement: with Pack, the real scheduler uses as few nodes as the pods need, with Spread as many as there are. It
// logs how long scheduling takes.
func TestPlacement(t *testing.T) {
	kube := suite.Cluster(t)
	require.NoError(t, kube.AddNodes(t.Context(), *placementNodes))
	const perNode = 32 // pods of two cores on nodes of 64
	pods := *placementPods
	for _, tc := range []struct {
		name      string
		placement v1alpha2.Placement
		nodes     int
	}{
		{"pack", v1alpha2.PlacementPack, (pods + perNode - 1) / perNode},
		{"none", "", 0},
		{"spread", v1alpha2.PlacementSpread, min(pods, *placementNodes)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := user.NewFixture(t, kube)
			f.Patience = 2*user.Patience + time.Duration(pods)*time.Second
			before := schedulerTime(f)
			begin := time.Now()
			f.CreateReady(tc.name, int32(pods), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Interactive, mc.Spec.Placement = true, tc.placement
				mc.Spec.Network = &v1alpha2.Network{DisableAffinity: tc.placement == ""}
				mc.Spec.Pod = &v1alpha2.PodSpec{Resources: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}}
			})
			ready := time.Since(begin)
			used := nodesOf(f, tc.name, pods)
			t.Logf("MEASURED %s: %d pods on %d of %d nodes, ready after %v, scheduling algorithm %v", tc.name, pods, used, *placementNodes,
				ready.Round(100*time.Millisecond), (schedulerTime(f) - before).Round(time.Millisecond))
			if tc.nodes > 0 {
				assert.Equal(t, tc.nodes, used)
			}
			deleted(f, tc.name)
		})
	}
}

// nodesOf returns the number of nodes of the pods of a MiniCluster.
func nodesOf(f *user.Fixture, name string, pods int) int {
	f.Helper()
	list, err := f.Kube.CoreV1().Pods(f.Namespace).List(f.Context(), metav1.ListOptions{LabelSelector: user.Selector(name)})
	require.NoError(f, err)
	assert.Len(f, list.Items, pods)
	names := sets.New[string]()
	for i := range list.Items {
		names.Insert(list.Items[i].Spec.NodeName)
	}
	return names.Len()
}

// deleted deletes a MiniCluster and waits until its pods are gone.
func deleted(f *user.Fixture, name string) {
	f.Helper()
	f.Kubectl("delete", "minicluster", name)
	f.Eventually("no pods", func(ctx context.Context) (string, error) {
		list, err := f.Kube.CoreV1().Pods(f.Namespace).List(ctx, metav1.ListOptions{LabelSelector: user.Selector(name)})
		if err != nil || len(list.Items) > 0 {
			return fmt.Sprintf("there are %d", len(list.Items)), err
		}
		return "", nil
	})
}

var algorithmTime = regexp.MustCompile(`(?m)^scheduler_scheduling_algorithm_duration_seconds_sum\S* (\S+)`)

// schedulerTime returns how long the scheduler has searched for nodes, in total. The control plane is one process, so
// the API server has the metrics of the scheduler.
func schedulerTime(f *user.Fixture) time.Duration {
	f.Helper()
	text, err := suite.Cluster(f.T).Client().CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(f.Context())
	require.NoError(f, err)
	found := algorithmTime.FindSubmatch(text)
	if found == nil {
		return 0 // it has scheduled nothing
	}
	seconds, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(f, err)
	return time.Duration(seconds * float64(time.Second))
}
