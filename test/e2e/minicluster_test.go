package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

const (
	// readyPatience is how long a MiniCluster may take until all of its pods are ready, on a busy machine.
	readyPatience = 4 * time.Minute
	// shrinkPatience is the timeout for the removal of a pod without jobs: its rank is drained for half a second and the
	// pod is stopped, which takes 2 s on an idle machine. It is less than the grace period of a pod that does not stop.
	shrinkPatience = 100 * time.Second
	shrinkGrace    = 2 * time.Minute

	agent = "/opt/minicluster/bin/minicluster-agent"
)

// flux runs a flux command in a pod, as the documentation describes.
func flux(t *testing.T, kube *node.Node, pod corev1.Pod, args ...string) string {
	t.Helper()
	return execute(t, kube, pod, append([]string{agent, "flux", "--"}, args...)...)
}

// nodesIn returns how many nodes Flux has in a state.
func nodesIn(t *testing.T, kube *node.Node, lead corev1.Pod, state string) int {
	t.Helper()
	number, err := findNodesIn(t.Context(), kube, lead, state)
	require.NoError(t, err)
	return number
}

// findNodesIn is nodesIn for a Flux that may not respond yet.
func findNodesIn(ctx context.Context, kube *node.Node, lead corev1.Pod, state string) (int, error) {
	output, err := kube.Exec(ctx, lead.Namespace, lead.Name, "", agent, "flux", "--", "resource", "list")
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`(?m)^\s*` + state + `\s+(\d+)`).FindStringSubmatch(output)
	if match == nil {
		return 0, fmt.Errorf("no nodes %s in %s", state, output)
	}
	return strconv.Atoi(match[1])
}

// eventuallyNodes waits until Flux has a number of nodes in a state.
func eventuallyNodes(t *testing.T, kube *node.Node, lead corev1.Pod, state string, want int) {
	t.Helper()
	f := fixtureIn(t, kube, lead.Namespace)
	f.Interval = 10 * pollInterval
	f.Eventually(fmt.Sprintf("%d nodes %s", want, state), func(ctx context.Context) (string, error) {
		got, err := findNodesIn(ctx, kube, lead, state)
		if err == nil && got != want {
			return fmt.Sprintf("%d are", got), nil
		}
		return "", err
	})
}

func getMiniCluster(ctx context.Context, t *testing.T, kube *node.Node, namespace, name string) *v1alpha2.MiniCluster {
	t.Helper()
	mc, err := user.In(t, kube.Cluster, namespace).MiniClusters().Get(ctx, name, metav1.GetOptions{})
	require.NoError(t, err)
	return mc
}

// eventuallyCondition waits until a MiniCluster has a condition with a status and a reason for its current spec.
func eventuallyCondition(t *testing.T, kube *node.Node, namespace, name, condition string, status metav1.ConditionStatus, reason string) *v1alpha2.MiniCluster {
	t.Helper()
	return fixtureIn(t, kube, namespace).WaitFor(name, user.Has(condition, status, reason))
}

// start applies a document with one MiniCluster and returns its pods once all of them are ready.
func start(t *testing.T, kube *node.Node, namespace, name string, size int, document string) []corev1.Pod {
	t.Helper()
	begin := time.Now()
	apply(t, kube, namespace, document)
	pods := eventuallyPods(t, kube, namespace, user.Selector(name), readyPatience, areReady(size))
	t.Logf("%s: %d pods are ready %.2f s after it was applied", name, size, time.Since(begin).Seconds())
	return pods
}

func scale(t *testing.T, kube *node.Node, namespace, name string, size int) {
	t.Helper()
	_, err := kube.Kubectl(t.Context(), "scale", "minicluster/"+name, "--namespace="+namespace, fmt.Sprintf("--replicas=%d", size))
	require.NoError(t, err)
}

// interactive returns a MiniCluster of the tutorials without a program.
func interactive(name string, size int) string {
	return fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: %s}
spec:
  size: %d
  interactive: true
  containers:
    - image: %s
`, name, size, fluxImage)
}

// TestLife follows the tutorial: a cluster starts, runs a job, shrinks, and grows again.
func TestLife(t *testing.T) {
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	pods := start(t, kube, namespace, "flux-sample", 4, interactive("flux-sample", 4)+
		fmt.Sprintf("  pod: {terminationGracePeriodSeconds: %.0f}\n", shrinkGrace.Seconds()))
	f := fixtureIn(t, kube, namespace)
	f.WaitFor("flux-sample", f.Ready(4))
	lead := pods[0]

	t.Run("names", func(t *testing.T) {
		for index := range 4 {
			name := fmt.Sprintf("flux-sample-%d.flux-service.%s.svc.cluster.local", index, namespace)
			eventuallyResolves(t, kube, lead, name, pods[index].Status.PodIP)
			eventuallyResolves(t, kube, pods[3], name, pods[index].Status.PodIP)
		}
	})
	t.Run("exec", func(t *testing.T) {
		assert.Equal(t, "flux-sample-2\n", execute(t, kube, pods[2], "hostname"))
		eventuallyNodes(t, kube, lead, "free", 4)
		assert.Equal(t, "hello from a job\n", flux(t, kube, lead, "run", "echo", "hello from a job"))
	})
	t.Run("shrink", func(t *testing.T) {
		begin := time.Now()
		scale(t, kube, namespace, "flux-sample", 3)
		left := eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), shrinkPatience, func(pods []corev1.Pod) bool { return len(pods) == 3 })
		t.Logf("the pod was deleted %.2f s after the size was written", time.Since(begin).Seconds())
		assert.LessOrEqual(t, time.Since(begin), shrinkPatience)
		assertSamePods(t, pods[:3], left)
		eventuallyResolves(t, kube, lead, "flux-sample-3.flux-service."+namespace+".svc.cluster.local")
		eventuallyNodes(t, kube, lead, "free", 3)
		eventuallyNodes(t, kube, lead, "down", 1)
	})
	t.Run("grow", func(t *testing.T) {
		begin := time.Now()
		scale(t, kube, namespace, "flux-sample", 4)
		again := eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, areReady(4))
		t.Logf("the pod was ready %.2f s after the size was written", time.Since(begin).Seconds())
		assertSamePods(t, pods[:3], again[:3])
		assert.NotEqual(t, pods[3].UID, again[3].UID)
		eventuallyNodes(t, kube, lead, "free", 4)
	})
	t.Run("rejected", func(t *testing.T) {
		scale(t, kube, namespace, "flux-sample", 5)
		mc := eventuallyCondition(t, kube, namespace, "flux-sample", v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, "AboveMaximum")
		require.NotNil(t, mc.Spec.Size)
		assert.EqualValues(t, 4, *mc.Spec.Size)
	})
}

// assertSamePods checks that pods were neither replaced nor restarted.
func assertSamePods(t *testing.T, want, got []corev1.Pod) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i].Name, got[i].Name)
		assert.Equal(t, want[i].UID, got[i].UID)
		for _, status := range got[i].Status.ContainerStatuses {
			assert.Zero(t, status.RestartCount, "container %s of %s", status.Name, got[i].Name)
		}
	}
}

// TestCommand checks that a command completes, and that the log contains its output.
func TestCommand(t *testing.T) {
	kube, namespace := shared(t)
	const said = `it's "quoted", costs $5 & more`
	quoted, err := json.Marshal(`echo 'it'\''s "quoted", costs $5 & more'`)
	require.NoError(t, err)
	apply(t, kube, namespace, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: hello}
spec:
  size: 2
  logging: {quiet: true}
  containers:
    - image: %s
      command: %s
`, fluxImage, quoted))
	eventuallyCondition(t, kube, namespace, "hello", v1alpha2.ConditionComplete, metav1.ConditionTrue, "Complete")
	pods, err := user.ListPods(t.Context(), kube.Client(), namespace, user.Selector("hello"))
	require.NoError(t, err)
	require.NotEmpty(t, pods)
	log, err := kube.Logs(t.Context(), namespace, pods[0].Name, "")
	require.NoError(t, err)
	assert.Equal(t, said+"\n", log, "in quiet mode the log is exactly the output of the application")
}

// TestFailure checks that the Job fails at once with the exit code of a failing command.
func TestFailure(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: broken}
spec:
  size: 2
  containers:
    - image: %s
      launcher: true
      command: sh -c "exit 42"
`, fluxImage))
	mc := eventuallyCondition(t, kube, namespace, "broken", v1alpha2.ConditionFailed, metav1.ConditionTrue, "Failed")
	failed := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionFailed)
	assert.Contains(t, failed.Message, "exit code 42")
}

// TestTwoMiniClusters runs two MiniClusters in one namespace, which share a headless Service.
func TestTwoMiniClusters(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, interactive("one", 2)+"---"+interactive("two", 2))
	clusters := map[string][]corev1.Pod{}
	for _, name := range []string{"one", "two"} {
		clusters[name] = eventuallyPods(t, kube, namespace, user.Selector(name), readyPatience, areReady(2))
	}
	for name, pods := range clusters {
		for index := range 2 {
			for _, from := range []corev1.Pod{clusters["one"][0], clusters["two"][1]} {
				host := fmt.Sprintf("%s-%d.flux-service.%s.svc.cluster.local", name, index, namespace)
				eventuallyResolves(t, kube, from, host, pods[index].Status.PodIP)
			}
		}
		eventuallyNodes(t, kube, pods[0], "free", 2) // it has only its own brokers
	}

	_, err := kube.Kubectl(t.Context(), "delete", "minicluster", "one", "--namespace="+namespace)
	require.NoError(t, err)
	eventuallyPods(t, kube, namespace, user.Selector("one"), readyPatience, func(pods []corev1.Pod) bool { return len(pods) == 0 })
	host := fmt.Sprintf("two-1.flux-service.%s.svc.cluster.local", namespace)
	eventuallyResolves(t, kube, clusters["two"][0], host, clusters["two"][1].Status.PodIP)
}
