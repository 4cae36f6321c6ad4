package failures_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

type fixture struct{ *user.Fixture }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	return &fixture{user.NewFixture(t, suite.Cluster(t))}
}

// unready keeps simulated pods from being ready.
func unready(mc *v1alpha2.MiniCluster) {
	mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationUnready: "true"}}
}

func (f *fixture) pods(name string) []corev1.Pod {
	f.Helper()
	var pods []corev1.Pod
	f.Eventually("pods of "+name, func(ctx context.Context) (string, error) {
		list, err := f.Kube.CoreV1().Pods(f.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "hpa-selector=" + name})
		if err != nil || len(list.Items) == 0 {
			return "there are none", err
		}
		pods = list.Items
		return "", nil
	})
	return pods
}

// podOfIndex waits until an index has a pod that runs, and returns it. The simulated nodes write the status of a pod
// that has not started yet, and would overwrite that of a test.
func (f *fixture) podOfIndex(name, index string) *corev1.Pod {
	f.Helper()
	var found *corev1.Pod
	f.Eventually("a pod of index "+index+" of "+name, func(context.Context) (string, error) {
		for _, pod := range f.pods(name) {
			if pod.Labels[batchv1.JobCompletionIndexAnnotation] == index && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
				found = &pod
				return "", nil
			}
		}
		return "none runs", nil
	})
	return found
}

// asked counts the controller's requests about pods and policies.
func (f *fixture) asked(log *cluster.AuditLog) map[string]int {
	f.Helper()
	requests, err := log.Requests(user.Controller)
	require.NoError(f, err)
	counts := map[string]int{}
	for _, r := range requests {
		if r.Namespace == f.Namespace && (r.Resource == "pods" || r.Resource == "networkpolicies" || r.Resource == "secrets" && r.Verb == "get") {
			counts[r.Key()]++
		}
	}
	return counts
}

// A policy that prevents connections between brokers is reported, and the requests of the diagnosis are counted.
func TestNetworkPolicy(t *testing.T) {
	f := newFixture(t)
	policies := f.Kube.NetworkingV1().NetworkPolicies(f.Namespace)
	_, err := policies.Create(t.Context(), &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "deny-all"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	log := f.Audit()
	begin := time.Now()
	f.Create("apart", 2, unready)
	f.WaitFor("apart", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonNetworkPolicy, "0 of 2 pods are ready", "pod apart-0-", `NetworkPolicy "deny-all"`, "TCP port 8050", "DNS"))
	t.Logf("the policy is reported %.1f s after the creation of the MiniCluster, with a diagnosis delay of %v", time.Since(begin).Seconds(), slowStart)
	f.WaitFor("apart", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonNetworkPolicy))
	asked := f.asked(log)
	// On a busy machine, the Job's pods may be missing at first: an inspection then creates one as a dry run.
	assert.LessOrEqual(t, asked["create pods"], asked["list pods"])
	delete(asked, "create pods")
	assert.Equal(t, map[string]int{"list pods": asked["list pods"], "list networkpolicies": asked["list networkpolicies"]}, asked)
	assert.LessOrEqual(t, asked["list networkpolicies"], asked["list pods"])
	assert.LessOrEqual(t, asked["list pods"], 1+int(time.Since(begin)/(5*time.Second)), "after the first inspection, at most every five seconds")

	require.NoError(t, policies.Delete(t.Context(), "deny-all", metav1.DeleteOptions{}))
	f.WaitFor("apart", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonBrokerOffline, "kubectl logs apart-0-"))
	for _, pod := range f.pods("apart") {
		require.NoError(t, f.Cluster.SetPodReady(t.Context(), f.Namespace, pod.Name, true))
	}
	f.WaitFor("apart", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonStable))
	f.WaitFor("apart", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady, "2 of 2 pods are ready"))
}

// The pods of a healthy cluster are never inspected.
func TestNothingIsAskedWhileAllIsWell(t *testing.T) {
	f := newFixture(t)
	log, begin := f.Audit(), time.Now()
	f.Create("well", 2, user.MaxSize(4), func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationUnready: "false"}}
	})
	f.WaitFor("well", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonStable))
	if time.Since(begin) >= slowStart {
		// On a busy machine, the pods start so slowly that they are inspected. An inspection may not have ended yet.
		f.pass(2 * slowStart)
		log = f.Audit()
	}
	f.pass(3 * slowStart)
	assert.Empty(t, f.asked(log))
}

// pass waits for a time in which something must not happen.
func (f *fixture) pass(d time.Duration) {
	f.Helper()
	select {
	case <-time.After(d):
	case <-f.Context().Done():
	}
}

// Ready depends on the quorum, not on the requested size.
func TestQuorum(t *testing.T) {
	f := newFixture(t)
	f.Create("quorum", 3, unready, func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = 2 })
	f.WaitFor("quorum", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonBrokerOffline))
	for _, index := range []string{"0", "2"} {
		require.NoError(t, f.Cluster.SetPodReady(t.Context(), f.Namespace, f.podOfIndex("quorum", index).Name, true))
	}
	mc := f.WaitFor("quorum", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady, "2 of 3 pods are ready"))
	assert.EqualValues(t, 2, mc.Status.ReadySize)
	f.WaitFor("quorum", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonBrokerOffline, "pod quorum-1-"))
}

// The reason why pods are rejected is reported, although there is no pod to inspect.
func TestPodsAreRefused(t *testing.T) {
	f := newFixture(t)
	f.Restrict(t)
	f.Create("refused", 2)
	f.WaitFor("refused", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonPodsRejected, "2 pods can't be created", `violates PodSecurity "restricted`, "correct what the message names"))
	pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, pods.Items, "the dry run creates no pod")
}

func (f *fixture) setStatus(pod *corev1.Pod, status string) {
	f.Helper()
	_, err := f.Kube.CoreV1().Pods(f.Namespace).Patch(f.Context(), pod.Name, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status")
	require.NoError(f, err)
}

// A lead that its kubelet evicts is replaced, and the work does not fail.
func TestEvictedLead(t *testing.T) {
	f := newFixture(t)
	f.Create("evicted", 2, func(mc *v1alpha2.MiniCluster) { mc.Spec.BackoffLimit = new(int32(0)) })
	f.WaitFor("evicted", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	lead := f.podOfIndex("evicted", "0")
	f.setStatus(lead, `{"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
		"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "The node was low on resource: memory."}]}}`)
	f.WaitFor("evicted", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonPodsFailing, "(index 0, the lead) was evicted: The node was low on resource: memory", "Kubernetes replaces it"))
	f.WaitFor("evicted", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonStable))
	mc := f.WaitFor("evicted", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	assert.Nil(t, meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionFailed))
}

// A follower that fails repeatedly is reported with the message of its agent, and does not delay other indexes.
func TestFollowerFails(t *testing.T) {
	f := newFixture(t)
	f.Create("follower", 2, user.MaxSize(3))
	f.WaitFor("follower", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	require.NoError(t, f.Cluster.ExitPod(t.Context(), f.Namespace, f.podOfIndex("follower", "1").Name, 212))
	f.WaitFor("follower", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonPodsFailing, "pod follower-1-", "a hook failed (exit code 212)"))
	f.SetSize("follower", 3)
	f.Eventually("another index", func(ctx context.Context) (string, error) {
		job, err := f.Kube.BatchV1().Jobs(f.Namespace).Get(ctx, "follower", metav1.GetOptions{})
		if err != nil || job.Status.Active < 2 {
			return "it has no pod yet", err
		}
		return "", nil
	})
	f.WaitFor("follower", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonStable))
	f.WaitFor("follower", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady, "3 of 3 pods are ready"))
}

// A pod that does not terminate, as on a lost node, is reported with the remedy.
func TestPodDoesNotEnd(t *testing.T) {
	f := newFixture(t)
	f.Create("lost", 2, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{
			Annotations:                   map[string]string{cluster.AnnotationTerminateAfter: "1h"},
			TerminationGracePeriodSeconds: new(int64(1)),
		}
	})
	f.WaitFor("lost", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	pod := f.podOfIndex("lost", "1")
	require.NoError(t, f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
	f.WaitFor("lost", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonNodeLost, "pod "+pod.Name, "has not terminated in time", "kubectl delete node "+pod.Spec.NodeName))
	// This is what Kubernetes does to the pods of a deleted Node.
	f.setStatus(pod, `{"status": {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}]}}`)
	f.WaitFor("lost", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonStable))
	assert.NotEqual(t, pod.UID, f.podOfIndex("lost", "1").UID)
}

// The pod that made a Job fail is reported with its reason.
func TestFailedPod(t *testing.T) {
	f := newFixture(t)
	f.Create("broken", 2)
	f.WaitFor("broken", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	lead := f.podOfIndex("broken", "0").Name
	require.NoError(t, f.Cluster.ExitPod(t.Context(), f.Namespace, lead, 3))
	f.WaitFor("broken", user.HasReason(v1alpha2.ConditionFailed, v1alpha2.ReasonFailed, "pod "+lead+" (index 0, the lead) ended with exit code 3", "kubectl logs "+lead, "PodFailurePolicy"))
}
