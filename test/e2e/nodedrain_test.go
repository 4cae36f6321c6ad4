package e2e

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

// maxDrainDelay is how long kubectl drain may take after the end of the last job, on a busy machine. It repeats a
// refused eviction every five seconds.
const maxDrainDelay = 2 * time.Minute

// watchNodes makes the controller watch nodes until the end of the test.
func watchNodes(t *testing.T, kube *node.Node) {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	install := func(ctx context.Context, name string) {
		require.NoError(t, kube.Apply(ctx, filepath.Join(root, "test", "e2e", "testdata", name)))
		_, err := kube.Kubectl(ctx, "rollout", "status", "deployment/"+controllerName, "--namespace="+systemNamespace, "--timeout="+readyPatience.String())
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		// As docs/nodes.md says: the flag is removed when all nodes take pods, and budgets remain.
		ctx := context.WithoutCancel(t.Context())
		_, err := kube.Kubectl(ctx, "uncordon", node.Name)
		assert.NoError(t, err)
		install(ctx, "install")
		const managed = "app.kubernetes.io/managed-by=minicluster-controller"
		for _, args := range [][]string{
			{"delete", "poddisruptionbudgets", "-A", "-l", managed},
			{"annotate", "jobs", "-A", "-l", managed, v1alpha2.AnnotationDisruptionBudget + "-"},
			{"delete", "clusterrole,clusterrolebinding", "minicluster-controller-nodes"},
		} {
			_, err := kube.Kubectl(ctx, args...)
			assert.NoError(t, err)
		}
	})
	install(t.Context(), "nodes")
}

// outcome is the end of a command.
type outcome struct {
	output string
	err    error
	at     time.Time
}

// inBackground runs a command.
func inBackground(run func() (string, error)) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		output, err := run()
		done <- outcome{output, err, time.Now()}
	}()
	return done
}

// awaitProtection waits until the disruption budget of a MiniCluster protects both pods.
func awaitProtection(f *user.Fixture, name string) {
	f.Helper()
	f.Eventually("a disruption budget", func(ctx context.Context) (string, error) {
		budget, err := f.Kube.PolicyV1().PodDisruptionBudgets(f.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || budget.Status.DisruptionsAllowed != 0 || budget.Status.CurrentHealthy != 2 {
			return "the budget does not protect both pods", err
		}
		return "", nil
	})
}

// TestDrainOfNode drains the node below two busy ranks with kubectl, which spares the other pods of the node: there is
// no other node for them. It waits until the job has succeeded. Then the rank that was evicted waits for a node, and is
// undrained when it has one.
func TestDrainOfNode(t *testing.T) {
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	watchNodes(t, kube)
	const name = "kept"
	pods := start(t, kube, namespace, name, 2, interactive(name, 2))
	lead := pods[0]
	eventuallyNodes(t, kube, lead, "free", 2)
	const script = "while ! [ -e /tmp/end ]; do sleep 0.1; done; echo saved"
	job := inBackground(func() (string, error) {
		return kube.Exec(t.Context(), namespace, lead.Name, "", agent, "flux", "--", "run", "-N2", "sh", "-c", script)
	})
	eventuallyNodes(t, kube, lead, "allocated", 2)

	f := fixtureIn(t, kube, namespace)
	awaitProtection(f, name) // the leader before, which did not watch nodes, may have created the Job
	drain := inBackground(func() (string, error) {
		return kube.Kubectl(t.Context(), "drain", node.Name, "--pod-selector="+user.Selector(name)+",batch.kubernetes.io/job-completion-index=1",
			"--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
	})
	f.WaitFor(name, func(mc *v1alpha2.MiniCluster) string {
		if d := mc.Status.NodeDrains; len(d) != 1 || d[0].Busy != "0-1" {
			return "the ranks are not drained"
		}
		return ""
	})
	awaitProtection(f, name) // the API server has refused an eviction, which kubectl repeats
	assert.Contains(t, flux(t, kube, lead, "resource", "drain"), "Kubernetes node "+node.Name+": the node is cordoned")
	assert.Empty(t, drain)
	assert.Empty(t, job)

	for _, pod := range pods {
		execute(t, kube, pod, "touch", "/tmp/end")
	}
	ended := <-job
	require.NoError(t, ended.err, "flux run returns the exit code of the job: %s", ended.output)
	assert.Equal(t, "saved\nsaved\n", ended.output)
	drained := <-drain
	require.NoError(t, drained.err, "%s\n%s", drained.output, report(t, kube, namespace))
	t.Logf("%s\nkubectl drain ended %.1f s after the job", drained.output, drained.at.Sub(ended.at).Seconds())
	assert.Less(t, drained.at.Sub(ended.at), maxDrainDelay)

	_, err := kube.Kubectl(t.Context(), "uncordon", node.Name)
	require.NoError(t, err)
	eventuallyPods(t, kube, namespace, user.Selector(name), readyPatience, func(now []corev1.Pod) bool {
		return areReady(2)(now) && now[0].UID == lead.UID && now[1].UID != pods[1].UID
	})
	eventuallyNodes(t, kube, lead, "free", 2)
	f.WaitFor(name, f.Ready(2), func(mc *v1alpha2.MiniCluster) string {
		if len(mc.Status.NodeDrains) > 0 {
			return "ranks are drained"
		}
		return ""
	})
}
