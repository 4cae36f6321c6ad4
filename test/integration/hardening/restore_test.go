package hardening_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// An administrator restores etcd from a backup while the controller runs: resource
// versions go backwards, and so do the generation and the size of a MiniCluster. The
// controller, which keeps its caches and records of writes, follows.
func TestRestoreOfEtcd(t *testing.T) {
	t.Parallel()
	kube := clustertest.Own(t, cluster.Options{Dir: t.TempDir()}, user.Manifests)
	data := filepath.Join(kube.Dir(), "etcd")
	users := user.FixtureIn(t, kube, "default")
	users.Create("restored", 2, maxSize(6))
	runInProcessOn(t, kube, func(o *app.Options) { o.LeaderElection.LeaderElect = false })
	settled := func(size int32) {
		t.Helper()
		user.Eventually(t, patience, "the size to be applied", func(ctx context.Context) (string, error) {
			return users.Settled(ctx, "restored", size)
		})
	}
	settled(2)

	stop := func() {
		t.Helper()
		require.NoError(t, kube.StopControlPlane())
	}
	start := func() {
		t.Helper()
		require.NoError(t, kube.StartControlPlane(t.Context()))
	}
	backup := filepath.Join(t.TempDir(), "backup")
	stop()
	require.NoError(t, os.CopyFS(backup, os.DirFS(data)))
	start()
	for _, size := range []int32{3, 4, 5} {
		users.SetSize("restored", size)
		settled(size)
	}
	// Other writes raise the resource version: the restored server needs long to reach it.
	for range 300 {
		_, err := kube.Client().CoreV1().ConfigMaps("default").Create(t.Context(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "other-"}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	stop()
	require.NoError(t, os.RemoveAll(data))
	require.NoError(t, os.CopyFS(data, os.DirFS(backup)))
	start()

	began := time.Now()
	settled(2)
	users.SetSize("restored", 4)
	settled(4)
	users.Create("new", 1, maxSize(2))
	user.Eventually(t, patience, "a MiniCluster that was created after the restore", func(ctx context.Context) (string, error) {
		return users.Settled(ctx, "new", 1)
	})
	t.Logf("all sizes applied %s after the restore", time.Since(began).Round(time.Second))
}
