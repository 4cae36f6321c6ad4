package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// TestNamespaceDeletion deletes a namespace with a running MiniCluster that has a volume.
func TestNamespaceDeletion(t *testing.T) {
	t.Parallel()
	const (
		gracePeriod = 30 * time.Second
		allowance   = 150 * time.Second // for a busy machine
	)
	kube := suite.Node(t)
	namespace := clustertest.LastingNamespace(t, kube.Cluster)
	start(t, kube, namespace, "work", 3, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: work}
spec:
  size: 3
  maxSize: 4
  interactive: true
  volumes:
    data: {storageClass: hostpath, path: %s}
  containers:
    - image: %s
      volumes:
        data: {path: /data}
`, t.TempDir(), fluxImage))
	pods, err := user.ListPods(t.Context(), kube.Client(), namespace, user.Selector("work"))
	require.NoError(t, err)
	require.Equal(t, int64(gracePeriod/time.Second), *pods[0].Spec.TerminationGracePeriodSeconds)

	begin := time.Now()
	namespaces := kube.Client().CoreV1().Namespaces()
	require.NoError(t, namespaces.Delete(t.Context(), namespace, metav1.DeleteOptions{}))
	fixtureIn(t, kube, namespace).Eventually("the end of the namespace", func(ctx context.Context) (string, error) {
		found, err := namespaces.Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return fmt.Sprintf("it has %+v", found.Status.Conditions), err
	})
	took := time.Since(begin)
	t.Logf("gone after %.1f s", took.Seconds())
	assert.Less(t, took, gracePeriod+allowance)
}
