package e2e

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// TestControllerReplicas checks that both replicas run as restricted as their namespace requires. When the leader is
// stopped, the other one applies the changes from the meantime.
func TestControllerReplicas(t *testing.T) {
	kube := suite.Node(t)
	ctx := t.Context()
	system, err := kube.Client().CoreV1().Namespaces().Get(ctx, systemNamespace, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "restricted", system.Labels["pod-security.kubernetes.io/enforce"])
	const controllers = "app.kubernetes.io/name=" + controllerName
	before, err := user.ListPods(ctx, kube.Client(), systemNamespace, controllers)
	require.NoError(t, err)
	require.Len(t, before, 2)
	for _, pod := range before {
		assert.True(t, isReady(pod), "a standby is also ready")
		assert.Equal(t, controllerName, pod.Spec.ServiceAccountName)
		for _, status := range pod.Status.ContainerStatuses {
			assert.Zero(t, status.RestartCount)
		}
	}

	namespace := clustertest.Namespace(t, kube.Cluster)
	start(t, kube, namespace, "flux-sample", 2, strings.ReplaceAll(interactive("flux-sample", 2), "size: 2", "size: 2\n  maxSize: 3"))
	leader, err := leaderOf(ctx, kube.Kubectl)
	require.NoError(t, err)
	begin := time.Now()
	_, err = kube.Kubectl(ctx, "delete", "pod", leader, "--namespace="+systemNamespace, "--wait=false")
	require.NoError(t, err)
	scale(t, kube, namespace, "flux-sample", 3)
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, areReady(3))
	t.Logf("3 pods are ready %.2f s after the leader was stopped", time.Since(begin).Seconds())
	fixtureIn(t, kube, namespace).Eventually("another replica to be the leader", func(ctx context.Context) (string, error) {
		now, err := leaderOf(ctx, kube.Kubectl)
		if err == nil && (now == "" || now == leader) {
			return "the leader is " + strconv.Quote(now), nil
		}
		return "", err
	})
	eventuallyPods(t, kube, systemNamespace, controllers, readyPatience, areReady(2))
}

// leaderOf returns the pod that holds the controllers' lease.
func leaderOf(ctx context.Context, kubectl func(context.Context, ...string) (string, error)) (string, error) {
	holder, err := kubectl(ctx, "get", "lease", controllerName, "--namespace="+systemNamespace, "--output=jsonpath={.spec.holderIdentity}")
	pod, _, _ := strings.Cut(holder, "_")
	return pod, err
}
