package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

const (
	// slot is a resource that only this test uses, so that other tests can run concurrently. The node has eight, and one
	// is the reserve.
	slot  = "minicluster.test/slot"
	slots = 8
	// hpaPeriod is the default period of an autoscaler. Those of the tests are shorter.
	hpaPeriod = 15 * time.Second
	// preemption is the time for pods to be replaced by others, which takes seconds on an idle machine.
	preemption = 2 * time.Minute
)

// slotted returns an example of opportunistic scaling, with slots instead of cores.
func slotted(t *testing.T, name string, more ...string) string {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(root, "examples", "opportunistic", name))
	require.NoError(t, err)
	text := strings.NewReplacer(append(more,
		"ghcr.io/flux-framework/flux-restful-api:latest", fluxImage, "image: busybox", "image: "+fluxImage,
		`requests: {cpu: "1"}`, "requests: {"+slot+": 1}", `limits: {cpu: "1"}`, "limits: {"+slot+": 1}",
		`requests: {cpu: "4"}`, "limits: {"+slot+": 1}",
		`reserve: {cpu: "30"}`, `reserve: {`+slot+`: 1}`, "maxSize: 184", "maxSize: 12",
	)...).Replace(string(content))
	require.NotContains(t, text, "cpu:")
	return text
}

// giveSlots adds slots to the capacity of the node.
func giveSlots(t *testing.T, kube *node.Node) {
	t.Helper()
	name := strings.ReplaceAll(slot, "/", "~1")
	patch := fmt.Sprintf(`[{"op":"add","path":"/status/capacity/%[1]s","value":"%[2]d"},{"op":"add","path":"/status/allocatable/%[1]s","value":"%[2]d"}]`, name, slots)
	_, err := kube.Client().CoreV1().Nodes().Patch(t.Context(), node.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
}

// waited returns how long the slowest of these pods was pending. Kubernetes records whole seconds.
func waited(t *testing.T, pods []corev1.Pod) time.Duration {
	t.Helper()
	var longest time.Duration
	for i := range pods {
		at := slices.IndexFunc(pods[i].Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue
		})
		require.GreaterOrEqual(t, at, 0, pods[i].Name)
		longest = max(longest, pods[i].Status.Conditions[at].LastTransitionTime.Sub(pods[i].CreationTimestamp.Time))
	}
	return longest
}

// TestPreemption checks that a MiniCluster uses the capacity that paying pods leave free, except for the reserve, and
// releases it: with drains, or at once by preemption.
func TestPreemption(t *testing.T) {
	kube, namespace := shared(t)
	giveSlots(t, kube)
	sizes := followSizes(t, kube, namespace, "filler")
	lead := start(t, kube, namespace, "filler", 1, slotted(t, "minicluster.yaml"))[0]
	apply(t, kube, namespace, slotted(t, "hpa.yaml"))
	settle := func(paying int) []corev1.Pod {
		t.Helper()
		size := slots - 1 - paying
		return eventuallyPods(t, kube, namespace, user.Selector("filler"), hpaPatience, func(pods []corev1.Pod) bool {
			mc, err := user.In(t, kube.Cluster, namespace).MiniClusters().Get(t.Context(), "filler", metav1.GetOptions{})
			return areReady(size)(pods) && err == nil && mc.RequestedSize() == int32(size)
		})
	}
	payingPods := func(number int) []corev1.Pod {
		t.Helper()
		_, err := kube.Kubectl(t.Context(), "scale", "deployment/paying", "--namespace="+namespace, fmt.Sprintf("--replicas=%d", number))
		require.NoError(t, err)
		return eventuallyPods(t, kube, namespace, "app=paying", hpaPatience, areReady(number))
	}
	settle(0)
	stays := strings.TrimSpace(flux(t, kube, lead, "submit", "-N1", "--requires=rank:2", "sh", "-c", "while [ ! -e /tmp/end ]; do sleep 1; done"))

	// Four pods, one of which fits into the reserve.
	paying := slotted(t, "preemption/paying.yaml", "replicas: 2", "replicas: 0")
	const class = "      priorityClassName: paying\n"
	require.Contains(t, paying, class)
	apply(t, kube, namespace, strings.Replace(paying, class, "", 1))
	t.Cleanup(func() {
		deleteDocuments(t, kube, "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: paying}\n")
	})
	leaves := strings.TrimSpace(flux(t, kube, lead, "submit", "-N1", "--requires=rank:5", "sleep", "6"))
	took := waited(t, payingPods(4))
	t.Logf("paying pods waited for %v at most, of which 6 s may be for a job to end", took)
	assert.LessOrEqual(t, took, hpaPeriod+6*time.Second+preemption)
	settle(4)
	assert.Equal(t, "COMPLETED 0 5", strings.TrimSpace(flux(t, kube, lead, "jobs", "-no", "{status} {returncode} {ranks}", leaves)), "it was drained, not stopped")
	payingPods(0)
	before := settle(0)

	// With a higher priority class they do not wait. Because of the disruption budget of the example, the scheduler can
	// only preempt rank 1.
	apply(t, kube, namespace, paying)
	apply(t, kube, namespace, strings.NewReplacer("minAvailable: 1", "minAvailable: 6", `operator: In, values: ["0"]`, `operator: NotIn, values: ["1"]`).
		Replace(slotted(t, "preemption/lead.yaml")))
	require.Eventually(t, func() bool {
		budget, err := kube.Client().PolicyV1().PodDisruptionBudgets(namespace).Get(t.Context(), "filler-lead", metav1.GetOptions{})
		return err == nil && budget.Status.CurrentHealthy == 6 && budget.Status.DisruptionsAllowed == 0
	}, readyPatience, pollInterval)
	took = waited(t, payingPods(2))
	t.Logf("paying pods with a priority waited for %v at most", took)
	assert.LessOrEqual(t, took, preemption)
	begin := time.Now()
	// Without the preempted pod, the size is temporarily too large; the size follows, and the highest two ranks are
	// removed one after the other.
	after := alive(eventuallyPods(t, kube, namespace, user.Selector("filler"), hpaPatience, func(pods []corev1.Pod) bool {
		left := slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
		return areReady(slots-1-2)(left) && user.IndexOf(left[1]) == 1 && left[1].UID != before[1].UID
	}))
	t.Logf("the preempted pod was back %.1f s later", time.Since(begin).Seconds())
	assertSamePods(t, slices.Concat(before[:1], before[2:5]), slices.Concat(after[:1], after[2:]))
	eventuallyNodes(t, kube, lead, "free", 4)
	eventuallyNodes(t, kube, lead, "allocated", 1)
	job := fixtureIn(t, kube, namespace).Job("filler")
	assert.Zero(t, job.Status.Failed, "preemption is not counted")
	assert.Empty(t, message(getMiniCluster(t.Context(), t, kube, namespace, "filler"), v1alpha2.ConditionFailed))
	execute(t, kube, lead, "touch", "/tmp/end")
	flux(t, kube, lead, "job", "wait-event", "--quiet", stays, "clean")
	assert.Equal(t, "COMPLETED 0 2", strings.TrimSpace(flux(t, kube, lead, "jobs", "-no", "{status} {returncode} {ranks}", stays)), "jobs on other ranks continue")
	given := sizes()
	t.Logf("sizes: %v", given)
	assert.GreaterOrEqual(t, slices.Min(given[1:]), int32(3))
	assert.LessOrEqual(t, slices.Max(given), int32(7))

	// Any pod preempts pods with a lower class.
	_, err := kube.Kubectl(t.Context(), "delete", "hpa/filler", "minicluster/filler", "deployment/paying", "--namespace="+namespace)
	require.NoError(t, err)
	below := slotted(t, "preemption/below-others.yaml")
	apply(t, kube, namespace, below)
	t.Cleanup(func() { deleteDocuments(t, kube, below) })
	start(t, kube, namespace, "lowest", slots, slotted(t, "minicluster.yaml", "name: filler", "name: lowest",
		"  size: 1\n", fmt.Sprintf("  size: %d\n  pod: {priorityClassName: below-others}\n", slots)))
	apply(t, kube, namespace, strings.Replace(paying, class, "", 1))
	took = waited(t, payingPods(1))
	t.Logf("a paying pod without a class waited for %v beside pods with a class below", took)
	assert.LessOrEqual(t, took, preemption)
}
