package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubefake "k8s.io/client-go/kubernetes/fake"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxfake "minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
)

// TestFloor checks that the operator without logic creates and resizes Jobs.
func TestFloor(t *testing.T) {
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "mc", UID: "uid", Generation: 1},
		Spec:       v1alpha2.MiniClusterSpec{Size: new(int32(2)), MaxSize: 4, Containers: []v1alpha2.MiniClusterContainer{{Image: "flux"}}},
	}
	kube, flux := kubefake.NewClientset(), fluxfake.NewSimpleClientset(mc)
	c := &rawClient{kube: kube, flux: flux}
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- c.follow(ctx, 2) }()

	size := func() int32 {
		job, err := kube.BatchV1().Jobs("ns").Get(ctx, "mc", metav1.GetOptions{})
		if err != nil || job.Spec.Parallelism == nil {
			return 0
		}
		return *job.Spec.Parallelism
	}
	wait := func(want int32, each func()) {
		has := false
		require.Eventually(t, func() bool {
			each()
			has = size() == want
			return has || len(ended) > 0
		}, time.Minute, 20*time.Millisecond)
		if !has {
			require.NoError(t, <-ended, "it has ended")
			require.Fail(t, "it has ended")
		}
	}
	wait(2, func() {})
	// The watch of a fake client shows only what changes after its start.
	mc.Spec.Size = new(int32(3))
	wait(3, func() {
		mc.Generation++
		_, err := flux.FluxFrameworkV1alpha2().MiniClusters("ns").Update(ctx, mc, metav1.UpdateOptions{})
		assert.NoError(t, err)
	})
	services, err := kube.CoreV1().Services("ns").List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, services.Items, 1)
}
