package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/node"
)

// TestSidecarService connects to a sidecar by its name.
func TestSidecarService(t *testing.T) {
	kube, namespace := shared(t)
	pods := start(t, kube, namespace, "flux-sample", 2, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: flux-sample}
spec:
  size: 2
  interactive: true
  containers:
    - image: %[1]s
      runFlux: true
    - image: %[1]s
      name: web
      ports: [8080]
      command: httpd -f -p 8080 -h /etc
`, fluxImage))
	service, err := kube.Client().CoreV1().Services(namespace).Get(t.Context(), "web", metav1.GetOptions{})
	require.NoError(t, err)
	for _, pod := range pods {
		eventuallyResolves(t, kube, pod, "web."+namespace+".svc.cluster.local", service.Spec.ClusterIP)
		assert.Contains(t, eventuallyServed(t, kube, pod, "http://web:8080/passwd"), "root:x:0:0")
	}
}

// TestSecretVolume mounts a Secret at the path where an application reads its certificates.
func TestSecretVolume(t *testing.T) {
	kube, namespace := shared(t)
	_, err := kube.Client().CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "certs"},
		StringData: map[string]string{"tls.crt": "a certificate", "tls.key": "a key"},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	pods := start(t, kube, namespace, "flux-sample", 1, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: flux-sample}
spec:
  size: 1
  interactive: true
  containers:
    - image: %s
      existingVolumes:
        certs:
          path: /etc/certs
          secretName: certs
`, fluxImage))
	assert.Equal(t, "a key", execute(t, kube, pods[0], "cat", "/etc/certs/tls.key"))
	assert.Contains(t, execute(t, kube, pods[0], "ls", "/etc/certs"), "tls.crt")
}

// TestVolume checks that a volume is created for a MiniCluster, used by its pods, and deleted with it, and that its
// content is kept.
func TestVolume(t *testing.T) {
	kube, namespace := shared(t)
	dir := t.TempDir()
	pods := start(t, kube, namespace, "flux-sample", 2, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: flux-sample}
spec:
  size: 2
  interactive: true
  volumes:
    data:
      storageClass: hostpath
      path: %s
  containers:
    - image: %s
      volumes:
        data: {path: /data}
`, dir, fluxImage))
	execute(t, kube, pods[1], "sh", "-c", "echo kept >/data/file")
	assert.Equal(t, "kept\n", execute(t, kube, pods[0], "cat", "/data/file"))
	claims, err := kube.Client().CoreV1().PersistentVolumeClaims(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, claims.Items, 1)
	assert.Equal(t, corev1.ClaimBound, claims.Items[0].Status.Phase)
	volume := claims.Items[0].Spec.VolumeName

	_, err = kube.Kubectl(t.Context(), "delete", "minicluster", "flux-sample", "--namespace="+namespace)
	require.NoError(t, err)
	fixtureIn(t, kube, namespace).Eventually("the volume and its claim to be removed", func(ctx context.Context) (string, error) {
		claims, err := kube.Client().CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(claims.Items) > 0 {
			return "there is a claim", err
		}
		_, err = kube.Client().CoreV1().PersistentVolumes().Get(ctx, volume, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "there is a volume", err
	})
	assert.FileExists(t, filepath.Join(dir, "file"))
}

// TestServicesPod runs containers in a separate pod beside the cluster.
func TestServicesPod(t *testing.T) {
	kube, namespace := shared(t)
	pods := start(t, kube, namespace, "flux-sample", 1, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: flux-sample}
spec:
  size: 1
  interactive: true
  services:
    - image: %[1]s
      name: registry
      ports: [5000]
      command: httpd -f -p 5000 -h /etc
  containers:
    - image: %[1]s
`, fluxImage))
	assert.Contains(t, eventuallyServed(t, kube, pods[0], "http://flux-sample-services.flux-service:5000/passwd"), "root:x:0:0")
}

// eventuallyServed waits until a pod gets a response from a URL, and returns it. A server may start after the pod is
// ready, and a Service learns of its pods with a delay.
func eventuallyServed(t *testing.T, kube *node.Node, from corev1.Pod, url string) (page string) {
	t.Helper()
	f := fixtureIn(t, kube, from.Namespace)
	f.Interval = 10 * pollInterval
	f.Eventually("a response from "+url, func(ctx context.Context) (string, error) {
		var err error
		page, err = kube.Exec(ctx, from.Namespace, from.Name, "", "wget", "-q", "-O", "-", url)
		return "", err
	})
	return page
}
