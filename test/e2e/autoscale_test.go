package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

const (
	// autoscalePatience is for one change of size: the metrics-server looks every 10 s and the autoscaler every 5 s, and a
	// shrink waits for 20 s in which it would not have grown. It is no measure of speed.
	autoscalePatience = 2 * time.Minute
	// burn uses all CPU that its container may have, until it is stopped or the pod ends.
	burn = "(while [ ! -e /tmp/stop ]; do :; done) >/dev/null 2>&1 & exit 0"
)

// hpaExample is the example of autoscaling on CPU, with an image and little CPU instead of its own.
func hpaExample(t *testing.T) (miniCluster, autoscaler string) {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	var documents []string
	for _, name := range []string{"minicluster.yaml", "hpa-v1.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, "examples", "elasticity", "horizontal-autoscaler", "v1", name))
		require.NoError(t, err)
		text := strings.ReplaceAll(string(content), "  namespace: flux-operator\n", "")
		text = regexp.MustCompile(`image: \S+`).ReplaceAllString(text, "image: "+fluxImage)
		// Four pods that burn as much as they may take less than half a processor.
		text = strings.ReplaceAll(strings.ReplaceAll(text, "cpu: 100m", "cpu: 50m"), "cpu: 200m", "cpu: 100m")
		documents = append(documents, text)
	}
	require.Contains(t, documents[0], "cpu: 100m")
	return documents[0], documents[1]
}

// TestAutoscaleOnCPU is the tutorial of autoscaling: a real load is measured by a real metrics-server, and the real
// autoscaler resizes the cluster, also one that was made again meanwhile.
func TestAutoscaleOnCPU(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	miniCluster, autoscaler := hpaExample(t)
	sizes := followSizes(t, kube, namespace, "flux-sample")

	apply(t, kube, namespace, autoscaler)
	start(t, kube, namespace, "flux-sample", 2, miniCluster)
	_, err := kube.Kubectl(t.Context(), "delete", "minicluster", "flux-sample", "--namespace="+namespace)
	require.NoError(t, err)
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, func(pods []corev1.Pod) bool { return len(pods) == 0 })
	pods := start(t, kube, namespace, "flux-sample", 2, miniCluster)
	eventuallyHPA(t, kube, namespace, `\d+%/50%`, 2)

	begin := time.Now()
	for _, pod := range pods {
		execute(t, kube, pod, "sh", "-c", burn)
	}
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), autoscalePatience, areReady(4))
	t.Logf("4 pods are ready %.1f s after the load began", time.Since(begin).Seconds())
	eventuallyHPA(t, kube, namespace, `\d+%/50%`, 4)
	assert.Equal(t, "4 4 hpa-selector=flux-sample", scaleOf(t, kube, namespace))

	begin = time.Now()
	for _, pod := range pods {
		execute(t, kube, pod, "touch", "/tmp/stop")
	}
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), autoscalePatience, areReady(2))
	t.Logf("2 pods are left %.1f s after the load ended", time.Since(begin).Seconds())
	assert.Equal(t, "2 2 hpa-selector=flux-sample", scaleOf(t, kube, namespace))
	assert.EqualValues(t, 4, slices.Max(sizes()), "the largest size that the Job was given")
}

// scaleOf is what the scale subresource shows.
func scaleOf(t *testing.T, kube *node.Node, namespace string) string {
	t.Helper()
	var shown string
	assert.Eventually(t, func() bool {
		var err error
		shown, err = kube.Kubectl(t.Context(), "get", "minicluster", "flux-sample", "--subresource=scale", "--namespace="+namespace,
			"--output=jsonpath={.spec.replicas} {.status.replicas} {.status.selector}")
		spec, rest, _ := strings.Cut(shown, " ")
		return err == nil && strings.HasPrefix(rest, spec+" ")
	}, readyPatience, 10*pollInterval)
	return shown
}

// eventuallyHPA waits until "kubectl get hpa" shows a load and a size.
func eventuallyHPA(t *testing.T, kube *node.Node, namespace, load string, size int) {
	t.Helper()
	want := regexp.MustCompile(fmt.Sprintf(`^flux-sample-hpa +MiniCluster/flux-sample +cpu: %s +2 +4 +%d +\S+\n$`, load, size))
	f := fixtureIn(t, kube, namespace)
	f.Interval, f.Patience = 10*pollInterval, autoscalePatience
	f.Eventually("a load and a size", func(ctx context.Context) (string, error) {
		line, err := kube.Kubectl(ctx, "get", "hpa", "--no-headers", "--namespace="+namespace)
		if want.MatchString(line) {
			return "", err
		}
		return line, err
	})
}

// followSizes watches a Job. The function that it returns tells the sizes that it was given, one after the other.
func followSizes(t *testing.T, kube *node.Node, namespace, name string) func() []int32 {
	t.Helper()
	sizes := fixtureIn(t, kube, namespace).JobSizes(name)
	return func() []int32 { return slices.Compact(sizes()) }
}
