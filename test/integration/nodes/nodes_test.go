package nodes_test

import (
	"context"
	"fmt"
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
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/user"
)

// fixture is a MiniCluster whose pods have nodes of their own.
type fixture struct {
	*user.Fixture
	name  string
	agent *user.Agent
}

// newFixture creates a MiniCluster of three pods. Tests are not parallel: each cordons nodes.
func newFixture(t *testing.T, name string, mods ...func(*v1alpha2.MiniCluster)) *fixture {
	t.Helper()
	f := &fixture{Fixture: user.NewFixture(t, suite.Cluster(t)), name: name, agent: agents.Of(name)}
	f.CreateReady(name, 3, append(mods, func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive = true })...)
	t.Cleanup(f.restoreNodes)
	return f
}

// restoreNodes makes all nodes take pods.
func (f *fixture) restoreNodes() {
	nodes := suite.Cluster(f.T).Client().CoreV1().Nodes()
	list, err := nodes.List(context.Background(), metav1.ListOptions{})
	require.NoError(f, err)
	for i := range list.Items {
		if n := &list.Items[i]; n.Spec.Unschedulable || len(n.Spec.Taints) > 0 || n.Annotations[v1alpha2.AnnotationDrain] != "" {
			f.patchNode(n.Name, `{"spec":{"unschedulable":null,"taints":null},"metadata":{"annotations":{"flux-framework.org/drain":null}}}`)
		}
	}
}

func (f *fixture) patchNode(name, patch string) {
	f.Helper()
	_, err := suite.Cluster(f.T).Client().CoreV1().Nodes().Patch(context.Background(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(f, err)
}

// awaitFull waits until the scheduler knows that a node takes no pods, or that none does for "". It may still bind pods
// that are created before.
func (f *fixture) awaitFull(node string) {
	f.Helper()
	probe := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "probe", Image: "probe"}}, TerminationGracePeriodSeconds: new(int64(0)),
	}}
	if node != "" {
		named := corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}
		probe.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{named}}},
		}}}
	}
	pods, name := f.Kube.CoreV1().Pods(f.Namespace), ""
	f.Eventually("a pod that fits no node", func(ctx context.Context) (string, error) {
		if name == "" {
			made, err := pods.Create(ctx, probe, metav1.CreateOptions{})
			if err == nil {
				name = made.Name
			}
			return "a pod is created", err
		}
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		rejected := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
		})
		if !rejected && pod.Spec.NodeName == "" {
			return "it is not scheduled yet", nil
		}
		if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil || rejected {
			return "", err
		}
		name = "" // another one is tried
		return "it fits node " + pod.Spec.NodeName, nil
	})
}

// pod waits until an index has a pod that neither terminates nor has ended, and returns it.
func (f *fixture) pod(index int32) *corev1.Pod {
	f.Helper()
	var pod *corev1.Pod
	f.Eventually(fmt.Sprintf("a pod of index %d", index), func(context.Context) (string, error) {
		if pod = f.findPod(index); pod == nil {
			return "there is none", nil
		}
		return "", nil
	})
	return pod
}

// findPod returns the pod of an index that neither terminates nor has ended, nil if there is none.
func (f *fixture) findPod(index int32) *corev1.Pod {
	f.Helper()
	pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(f.Context(), metav1.ListOptions{LabelSelector: user.Selector(f.name)})
	require.NoError(f, err)
	for i := range pods.Items {
		pod := &pods.Items[i]
		if got, ok := resources.PodIndex(pod); ok && got == index && pod.DeletionTimestamp == nil && !resources.PodEnded(pod) {
			return pod
		}
	}
	return nil
}

// moved waits until another pod of an index is ready, and returns it.
func (f *fixture) moved(index int32, before types.UID) *corev1.Pod {
	f.Helper()
	var pod *corev1.Pod
	f.Eventually("another pod", func(context.Context) (string, error) {
		if pod = f.findPod(index); pod == nil || pod.UID == before || !resources.PodReady(pod) {
			return "it is not ready", nil
		}
		return "", nil
	})
	return pod
}

// drained waits until the agent has exactly these drains, as "INDEXES: REASON".
func (f *fixture) drained(want ...string) {
	f.Helper()
	f.Eventually("the drains of the agent", func(context.Context) (string, error) {
		if got := f.agent.Nodes(); !slices.Equal(got, want) {
			return fmt.Sprintf("%q", got), nil
		}
		return "", nil
	})
}

// rankState waits until the pod of an index has a state, as its label and its condition.
func (f *fixture) rankState(index int32, state string) {
	f.Helper()
	f.Eventually("the state of a rank", func(context.Context) (string, error) {
		pod := f.findPod(index)
		if pod == nil {
			return "there is no pod", nil
		}
		condition := ""
		for _, c := range pod.Status.Conditions {
			if c.Type == v1alpha2.PodConditionDrained {
				condition = c.Reason
			}
		}
		want := map[string]string{"": "", v1alpha2.RankDraining: "Busy", v1alpha2.RankDrained: "Idle"}[state]
		if got := pod.Labels[v1alpha2.LabelRankState]; got != state || condition != want {
			return fmt.Sprintf("label %q, condition %q", got, condition), nil
		}
		return "", nil
	})
}

func (f *fixture) kubectl(args ...string) (string, error) {
	return suite.Cluster(f.T).Kubectl(f.Context(), args...)
}

func noNodeDrains(mc *v1alpha2.MiniCluster) string {
	if len(mc.Status.NodeDrains) > 0 {
		return fmt.Sprintf("status.nodeDrains is %+v", mc.Status.NodeDrains)
	}
	return ""
}

// A cordon drains the rank, and nothing more. It is undrained when the node takes pods again.
func TestCordon(t *testing.T) {
	f := newFixture(t, "cordoned")
	pod := f.pod(1)
	node := pod.Spec.NodeName
	f.patchNode(node, `{"spec":{"unschedulable":true}}`)
	f.drained("1: Kubernetes node " + node + ": the node is cordoned")
	f.rankState(1, v1alpha2.RankDrained)
	f.WaitFor(f.name, f.Ready(3), func(mc *v1alpha2.MiniCluster) string {
		if d := mc.Status.NodeDrains; len(d) != 1 || d[0].Indexes != "1" {
			return fmt.Sprintf("status.nodeDrains is %+v", d)
		}
		return ""
	})
	f.WaitForEvent(f.name, "NodeDraining", "rank 1", node)
	f.patchNode(node, `{"spec":{"unschedulable":null}}`)
	f.drained()
	f.rankState(1, "")
	f.WaitFor(f.name, f.Ready(3), noNodeDrains)
	f.WaitForEvent(f.name, "NodeUndrained", "rank 1")
	assert.Equal(t, pod.UID, f.pod(1).UID, "the pod has stayed")
}

// A node takes pods again, and another one is cordoned, while no controller runs.
func TestRestart(t *testing.T) {
	f := newFixture(t, "restarted")
	one, two := f.pod(1).Spec.NodeName, f.pod(2).Spec.NodeName
	f.patchNode(one, `{"spec":{"unschedulable":true}}`)
	f.rankState(1, v1alpha2.RankDrained)
	require.NoError(t, running.Stop())
	f.patchNode(one, `{"spec":{"unschedulable":null}}`)
	f.patchNode(two, `{"spec":{"unschedulable":true}}`)
	require.NoError(t, start(context.WithoutCancel(t.Context()), suite.Cluster(t)))
	f.drained("2: Kubernetes node " + two + ": the node is cordoned")
	f.rankState(1, "")
	f.rankState(2, v1alpha2.RankDrained)
	f.patchNode(two, `{"spec":{"unschedulable":null}}`)
	f.drained()
	f.WaitFor(f.name, noNodeDrains)
}

// An annotation of an administrator drains a node with a reason.
func TestAnnotatedNode(t *testing.T) {
	f := newFixture(t, "annotated")
	node := f.pod(2).Spec.NodeName
	f.patchNode(node, `{"metadata":{"annotations":{"flux-framework.org/drain":"fan 3 is loud"}}}`)
	f.drained("2: Kubernetes node " + node + ": fan 3 is loud")
	f.patchNode(node, `{"metadata":{"annotations":{"flux-framework.org/drain":null}}}`)
	f.drained()
	f.WaitFor(f.name, noNodeDrains)
}

// A taint that announces a deletion drains the rank; its pod leaves once the rank is idle, and is undrained elsewhere.
func TestDeletionTaint(t *testing.T) {
	f := newFixture(t, "tainted")
	f.agent.Run(1)
	pod := f.pod(1)
	node := pod.Spec.NodeName
	f.patchNode(node, `{"spec":{"taints":[{"key":"karpenter.sh/disrupted","effect":"NoSchedule"}]}}`)
	f.drained("1: Kubernetes node " + node + ": the node has the taint karpenter.sh/disrupted")
	f.rankState(1, v1alpha2.RankDraining)
	f.WaitFor(f.name, f.Ready(3), func(mc *v1alpha2.MiniCluster) string {
		if d := mc.Status.NodeDrains; len(d) != 1 || d[0].Busy != "1" {
			return fmt.Sprintf("status.nodeDrains is %+v", d)
		}
		return ""
	})
	assert.Equal(t, pod.UID, f.pod(1).UID)
	f.agent.Run()
	start := time.Now()
	moved := f.moved(1, pod.UID)
	f.drained()
	f.WaitFor(f.name, f.Ready(3), noNodeDrains)
	t.Logf("the rank was back %s after its job ended", time.Since(start).Round(100*time.Millisecond))
	assert.NotEqual(t, node, moved.Spec.NodeName)
	assert.Empty(t, moved.Labels[v1alpha2.LabelRankState])
	f.WaitForEvent(f.name, "PodEvicted", pod.Name, node, "idle")
}

// The pod leaves at the deadline although its rank is busy.
func TestDeadline(t *testing.T) {
	f := newFixture(t, "deadline", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Disruption = &v1alpha2.Disruption{DrainTimeoutSeconds: new(int32(4))}
	})
	f.agent.Run(2)
	pod := f.pod(2)
	f.patchNode(pod.Spec.NodeName, `{"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]}}`)
	f.WaitForEvent(f.name, "PodEvicted", pod.Name, "drainTimeoutSeconds")
	f.moved(2, pod.UID)
	f.WaitFor(f.name, f.Ready(3), noNodeDrains)
}

// kubectl drain waits for the jobs on a rank, and ends by itself.
func TestKubectlDrain(t *testing.T) {
	f := newFixture(t, "drained")
	f.agent.Run(1)
	pod := f.pod(1)
	type result struct {
		output string
		err    error
		at     time.Time
	}
	done := make(chan result, 1)
	go func() {
		output, err := f.kubectl("drain", pod.Spec.NodeName, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout="+user.Patience.String())
		done <- result{output, err, time.Now()}
	}()
	f.rankState(1, v1alpha2.RankDraining)
	select {
	case r := <-done:
		require.FailNow(t, "kubectl drain does not wait", "%s\n%v", r.output, r.err)
	case <-time.After(7 * time.Second): // kubectl repeats a refused eviction after 5 s
	}
	assert.Equal(t, pod.UID, f.pod(1).UID)
	f.agent.Run()
	ended := time.Now()
	r := <-done
	require.NoError(t, r.err, r.output)
	t.Logf("%s", r.output)
	t.Logf("kubectl drain ended %s after the job", r.at.Sub(ended).Round(100*time.Millisecond))
	assert.Less(t, r.at.Sub(ended), user.Patience/2) // some seconds on an idle machine
	f.moved(1, pod.UID)
	f.WaitFor(f.name, f.Ready(3), noNodeDrains)
	f.drained()
}

// A budget refuses to evict pods of nodes that nobody drains.
func TestBudget(t *testing.T) {
	f := newFixture(t, "budget")
	f.Eventually("the budget", func(ctx context.Context) (string, error) {
		budget, err := f.Kube.PolicyV1().PodDisruptionBudgets(f.Namespace).Get(ctx, f.name, metav1.GetOptions{})
		if err != nil {
			return err.Error(), nil //nolint:nilerr // what is still missing
		}
		if s := budget.Status; s.CurrentHealthy != 3 || s.DisruptionsAllowed != 0 {
			return fmt.Sprintf("%+v", s), nil
		}
		return "", nil
	})
}

// No request is made for clusters on nodes that do not change.
func TestRequestsOfUnaffectedClusters(t *testing.T) {
	f := newFixture(t, "affected")
	f.Create("unaffected", 1)
	f.WaitFor("unaffected", f.Ready(1), user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonStable))
	f.Eventually("the budget", func(context.Context) (string, error) {
		if f.Job("unaffected").Annotations[v1alpha2.AnnotationDisruptionBudget] == "" {
			return "the annotation is missing", nil
		}
		return "", nil
	})
	log, err := suite.Cluster(t).Audit()
	require.NoError(t, err)
	node := f.pod(1).Spec.NodeName
	f.patchNode(node, `{"spec":{"unschedulable":true}}`)
	f.rankState(1, v1alpha2.RankDrained)
	f.patchNode(node, `{"spec":{"unschedulable":null}}`)
	f.rankState(1, "")
	requests, err := log.Requests(user.Controller)
	require.NoError(t, err)
	for _, r := range requests {
		assert.False(t, r.Name == "unaffected" || strings.HasPrefix(r.Name, "unaffected-"), "%s %s", r.Key(), r.Path)
	}
}

// With whenIdle, pods of idle ranks may be evicted, and are protected again when their ranks are busy.
func TestIdlePods(t *testing.T) {
	f := newFixture(t, "idle", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Disruption = &v1alpha2.Disruption{WhenIdle: v1alpha2.WhenIdleAllow}
	})
	evictable := func(want ...int32) {
		t.Helper()
		f.Eventually("the annotations", func(context.Context) (string, error) {
			for index := range int32(3) {
				pod, allow := f.findPod(index), slices.Contains(want, index)
				if pod == nil {
					return "there is no pod", nil
				}
				safe, keep := pod.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"], pod.Annotations["karpenter.sh/do-not-disrupt"]
				label := pod.Labels[v1alpha2.LabelRankState]
				if allow && (safe != "true" || keep != "" || label != v1alpha2.RankIdle) || !allow && (safe != "false" || keep != "true" || label != "") {
					return fmt.Sprintf("pod %d: %q, %q, label %q", index, safe, keep, label), nil
				}
			}
			return "", nil
		})
	}
	f.agent.Run(0, 1)
	evictable(2)
	f.agent.Run(2)
	evictable(0, 1)
	f.patch(`{"spec":{"disruption":{"whenIdle":"Keep"}}}`)
	evictable()
}

// Growth that finds no room is taken back, and is not repeated for some time.
func TestUnschedulable(t *testing.T) {
	f := newFixture(t, "crowded", user.MaxSize(6), func(mc *v1alpha2.MiniCluster) {
		mc.Spec.ScaleUp = &v1alpha2.ScaleUp{UnschedulableTimeoutSeconds: 3}
	})
	nodes, err := suite.Cluster(t).Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for i := range nodes.Items {
		f.patchNode(nodes.Items[i].Name, `{"spec":{"taints":[{"key":"example.com/full","effect":"NoSchedule"}]}}`)
	}
	f.awaitFull("")
	f.SetSize(f.name, 5)
	f.WaitFor(f.name, f.Ready(3), user.SpecSize(3),
		user.Has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonUnschedulable, "size 5 was rejected", "until"))
	f.SetSize(f.name, 4)
	f.WaitFor(f.name, f.Ready(3), user.SpecSize(3),
		user.Has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonUnschedulable, "size 4 was rejected"))
}

// patch patches the MiniCluster.
func (f *fixture) patch(change string) {
	f.Helper()
	_, err := f.MiniClusters().Patch(f.Context(), f.name, types.MergePatchType, []byte(change), metav1.PatchOptions{})
	require.NoError(f, err)
}
