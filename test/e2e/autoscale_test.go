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

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

const (
	// autoscalePatience is the timeout of one change of size: the metrics-server measures every 10 s, the autoscaler
	// acts every 5 s, and before it shrinks it waits until it would not have grown for 20 s. It is not a measure of
	// speed.
	autoscalePatience = 4 * time.Minute
	// burn uses all CPU of its container until it is stopped or the pod ends.
	burn = "(while [ ! -e /tmp/stop ]; do :; done) >/dev/null 2>&1 & exit 0"
)

// hpaExample returns the example of autoscaling on CPU with another image and fewer CPUs.
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
		// Four pods that use all of their CPU take less than half a processor.
		text = strings.ReplaceAll(strings.ReplaceAll(text, "cpu: 100m", "cpu: 50m"), "cpu: 200m", "cpu: 100m")
		documents = append(documents, text)
	}
	require.Contains(t, documents[0], "cpu: 100m")
	return documents[0], documents[1]
}

// TestAutoscaleOnCPU follows the tutorial of autoscaling: a real metrics-server measures a real load, and the real
// autoscaler resizes the cluster, even after it is recreated.
func TestAutoscaleOnCPU(t *testing.T) {
	kube, namespace := shared(t)
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
	t.Logf("2 pods remain %.1f s after the load ended", time.Since(begin).Seconds())
	assert.Equal(t, "2 2 hpa-selector=flux-sample", scaleOf(t, kube, namespace))
	assert.EqualValues(t, 4, slices.Max(sizes()), "the largest size of the Job")
}

// scaleOf returns the scale subresource.
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

// followSizes watches a Job. The function that it returns returns the sizes of the Job in order.
func followSizes(t *testing.T, kube *node.Node, namespace, name string) func() []int32 {
	t.Helper()
	sizes := fixtureIn(t, kube, namespace).JobSizes(name)
	return func() []int32 { return slices.Compact(sizes()) }
}
