package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

// command returns a MiniCluster that runs a command, with additional lines for its spec.
func command(name, words, more string) string {
	return fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: %s}
spec:
  size: 2
%s
  containers:
    - image: %s
      runFlux: true
      command: %s
`, name, more, fluxImage, words)
}

// awaitCondition waits like a user, with kubectl.
func awaitCondition(t *testing.T, kube *node.Node, namespace, name, condition string) time.Duration {
	t.Helper()
	begin := time.Now()
	_, err := kube.Kubectl(t.Context(), "wait", "--for=condition="+condition, "minicluster/"+name, "--namespace="+namespace, "--timeout="+readyPatience.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, report(t, kube, namespace))
	}
	return time.Since(begin)
}

func message(mc *v1alpha2.MiniCluster, condition string) string {
	if c := meta.FindStatusCondition(mc.Status.Conditions, condition); c != nil {
		return c.Message
	}
	return ""
}

// evict requests the eviction of a pod, as kubectl drain does.
func evict(t *testing.T, kube *node.Node, pod corev1.Pod) {
	t.Helper()
	err := kube.Client().PolicyV1().Evictions(pod.Namespace).Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}})
	require.NoError(t, err)
}

// eventuallyNew waits until a number of pods are ready, none of which is one of the given pods.
func eventuallyNew(t *testing.T, kube *node.Node, namespace, name string, size int, old ...corev1.Pod) []corev1.Pod {
	t.Helper()
	return eventuallyPods(t, kube, namespace, user.Selector(name), readyPatience, func(pods []corev1.Pod) bool {
		ready := 0
		for i := range pods {
			for _, o := range old {
				if pods[i].UID == o.UID && pods[i].Status.Phase != corev1.PodFailed {
					return false
				}
			}
			if isReady(pods[i]) {
				ready++
			}
		}
		return ready == size
	})
}

// alive returns the pods that have not ended.
func alive(pods []corev1.Pod) []corev1.Pod {
	var live []corev1.Pod
	for i := range pods {
		if pods[i].Status.Phase == corev1.PodRunning {
			live = append(live, pods[i])
		}
	}
	return live
}

// TestFalse checks that a failing command runs once, and that the status reports its exit code.
func TestFalse(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, command("failing", `"false"`, ""))
	took := awaitCondition(t, kube, namespace, "failing", v1alpha2.ConditionFailed)
	t.Logf("Failed %.2f s after it was applied (7 s on an idle machine)", took.Seconds())
	mc := getMiniCluster(t.Context(), t, kube, namespace, "failing")
	assert.Contains(t, message(mc, v1alpha2.ConditionFailed), "(index 0, the lead) ended with exit code 1; see `kubectl logs failing-0-")
	pods, err := user.ListPods(t.Context(), kube.Client(), namespace, user.Selector("failing"))
	require.NoError(t, err)
	leads := 0
	for i := range pods {
		if user.IndexOf(pods[i]) == 0 {
			leads++
		}
	}
	assert.Equal(t, 1, leads, "it runs once")
}

// TestSidecarEnds checks that a server in a sidecar does not prevent the cluster from completing.
func TestSidecarEnds(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, command("hi", "echo hi", "")+fmt.Sprintf(`
    - image: %s
      name: nginx
      ports: [8080]
      command: httpd -f -p 8080 -h /etc
`, fluxImage))
	took := awaitCondition(t, kube, namespace, "hi", v1alpha2.ConditionComplete)
	t.Logf("Complete %.2f s after it was applied", took.Seconds())
}

// TestOutOfMemory checks that a program that exceeds its memory limit fails the cluster if the backoff limit is 0.
func TestOutOfMemory(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, command("hungry", "tail /dev/zero", "  backoffLimit: 0")+`
      launcher: true
      resources:
        limits: {memory: 64Mi}
`)
	awaitCondition(t, kube, namespace, "hungry", v1alpha2.ConditionFailed)
	mc := getMiniCluster(t.Context(), t, kube, namespace, "hungry")
	assert.Contains(t, message(mc, v1alpha2.ConditionFailed), "was OOM-killed (OOMKilled, exit code 137)")
}

// TestEviction checks that a cluster whose pods are evicted is recreated, and that no limit counts evictions.
func TestEviction(t *testing.T) {
	kube, namespace := shared(t)
	pods := start(t, kube, namespace, "flux-sample", 5, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: flux-sample}
spec:
  size: 5
  interactive: true
  backoffLimit: 3
  containers:
    - image: %s
`, fluxImage))
	awaitCondition(t, kube, namespace, "flux-sample", v1alpha2.ConditionReady)
	scale(t, kube, namespace, "flux-sample", 4)
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, func(pods []corev1.Pod) bool { return len(pods) == 4 })

	begin := time.Now()
	evict(t, kube, pods[0])
	again := alive(eventuallyNew(t, kube, namespace, "flux-sample", 4, pods[0]))
	eventuallyNodes(t, kube, again[0], "free", 4)
	t.Logf("4 nodes are free again %.2f s after the lead was evicted", time.Since(begin).Seconds())

	begin = time.Now()
	for i := range again {
		evict(t, kube, again[i])
	}
	last := alive(eventuallyNew(t, kube, namespace, "flux-sample", 4, again...))
	awaitCondition(t, kube, namespace, "flux-sample", v1alpha2.ConditionReady)
	t.Logf("4 pods are ready again %.2f s after all were evicted, the lead for the second time", time.Since(begin).Seconds())
	eventuallyNodes(t, kube, last[0], "free", 4)
	job := fixtureIn(t, kube, namespace).Job("flux-sample")
	assert.Empty(t, job.Status.CompletedIndexes, "no index completes")
	assert.Zero(t, job.Status.Failed, "five evictions are not counted")
	mc := getMiniCluster(t.Context(), t, kube, namespace, "flux-sample")
	assert.Empty(t, message(mc, v1alpha2.ConditionFailed))
}

// TestSlowStart checks that the status names the reason why pods do not start, and the remedy.
func TestSlowStart(t *testing.T) {
	kube, namespace := shared(t)
	_, err := kube.KubectlInput(t.Context(), nil, "create", "quota", "small", "--hard=pods=6", "--namespace="+namespace)
	require.NoError(t, err)
	more := func(name, image, lines string) string {
		return fmt.Sprintf(`---
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: %s}
spec:
  size: 1
  interactive: true
%s
  containers:
    - image: %s
`, name, lines, image)
	}
	begin := time.Now()
	apply(t, kube, namespace, more("noimage", "minicluster.test/none:1", "")+
		more("nocert", fluxImage, "  flux: {curveCertSecret: mine}")+
		more("noroom", fluxImage, "  pod: {nodeSelector: {disk: golden}}")+
		more("nosecret", fluxImage, "")+`
      existingVolumes: {data: {path: /data, secretName: none}}
`+more("nokey", fluxImage, "")+`
      secrets: {PASSWORD: {name: none, key: password}}
`)
	for _, tc := range []struct {
		name, reason string
		parts        []string
	}{
		{"noimage", v1alpha2.ReasonImagePullFailed, []string{`pod noimage-0-`, `"minicluster.test/none:1"`, "imagePullSecret"}},
		{"nocert", v1alpha2.ReasonCertificateInvalid, []string{`Secret "mine"`, "does not exist", "curve.cert"}},
		{"noroom", v1alpha2.ReasonUnschedulable, []string{"fits no node", "node affinity/selector"}},
		{"nosecret", v1alpha2.ReasonNotMounted, []string{"kubectl describe pod nosecret-0-"}},
		{"nokey", v1alpha2.ReasonContainerNotStarted, []string{`secret "none" not found`}},
	} {
		fixtureIn(t, kube, namespace).WaitFor(tc.name, user.Has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, tc.reason, tc.parts...),
			user.HasReason(v1alpha2.ConditionReady, tc.reason)) // kubectl get shows it
		t.Logf("%s is known %.1f s after it was applied", tc.reason, time.Since(begin).Seconds())
	}

	begin = time.Now()
	apply(t, kube, namespace, interactive("nopods", 3))
	fixtureIn(t, kube, namespace).WaitFor("nopods", user.Has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonQuotaExceeded,
		"2 pods can't be created", "exceeded quota: small"))
	t.Logf("%s is known %.1f s after it was applied", v1alpha2.ReasonQuotaExceeded, time.Since(begin).Seconds())
}

// TestSuspension checks a queue that suspends and resumes the Job.
func TestSuspension(t *testing.T) {
	kube, namespace := shared(t)
	pods := start(t, kube, namespace, "flux-sample", 2, interactive("flux-sample", 2))
	suspend := func(value bool) {
		_, err := kube.Kubectl(t.Context(), "patch", "job", "flux-sample", "--namespace="+namespace, "--type=merge", fmt.Sprintf(`--patch={"spec":{"suspend":%t}}`, value))
		require.NoError(t, err)
	}
	suspend(true)
	awaitCondition(t, kube, namespace, "flux-sample", v1alpha2.ConditionSuspended)
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, func(pods []corev1.Pod) bool { return len(alive(pods)) == 0 })
	mc := getMiniCluster(t.Context(), t, kube, namespace, "flux-sample")
	assert.False(t, meta.IsStatusConditionTrue(mc.Status.Conditions, v1alpha2.ConditionReady))

	begin := time.Now()
	suspend(false)
	awaitCondition(t, kube, namespace, "flux-sample", v1alpha2.ConditionReady)
	again := alive(eventuallyNew(t, kube, namespace, "flux-sample", 2, pods...))
	t.Logf("Ready %.2f s after it was resumed", time.Since(begin).Seconds())
	eventuallyNodes(t, kube, again[0], "free", 2)
	mc = eventuallyCondition(t, kube, namespace, "flux-sample", v1alpha2.ConditionSuspended, metav1.ConditionFalse, v1alpha2.ReasonNotSuspended)
	assert.Empty(t, message(mc, v1alpha2.ConditionFailed))
}

// TestRestartOfTheController checks that a requested growth is not lost when the controller restarts.
func TestRestartOfTheController(t *testing.T) {
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	start(t, kube, namespace, "flux-sample", 1, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: flux-sample}
spec:
  size: 1
  maxSize: 4
  interactive: true
  containers:
    - image: %s
`, fluxImage))
	restart := func(args ...string) {
		_, err := kube.Kubectl(t.Context(), append([]string{"rollout", args[0], "deployment/" + controllerName, "--namespace=" + systemNamespace}, args[1:]...)...)
		require.NoError(t, err)
	}
	restart("restart")
	for size := 2; size <= 4; size++ {
		scale(t, kube, namespace, "flux-sample", size)
	}
	pods := eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, areReady(4))
	eventuallyNodes(t, kube, pods[0], "free", 4)
	restart("status", "--timeout="+readyPatience.String())
	f := fixtureIn(t, kube, namespace)
	f.WaitFor("flux-sample", f.Ready(4))
	assert.Equal(t, "4", fixtureIn(t, kube, namespace).Job("flux-sample").Annotations[v1alpha2.AnnotationAppliedSize])
}

// TestFollowerWithoutLead checks that the status contains the agent's reason why a follower does not join.
func TestFollowerWithoutLead(t *testing.T) {
	kube, namespace := shared(t)
	cases := []struct {
		name, connect, reason string
		parts                 []string
	}{
		{"lost", "tcp://nowhere.invalid:8050", v1alpha2.ReasonNameNotResolved, []string{"nowhere.invalid, does not resolve"}},
		{"deaf", "tcp://%h.flux-service:8051", v1alpha2.ReasonLeadUnreachable, []string{"deaf-0.flux-service", "no broker listens there yet"}},
		{"barred", "tcp://%h.flux-service:9560", v1alpha2.ReasonBrokerOffline, []string{"barred-0.flux-service", "does not accept this broker"}},
	}
	begin := time.Now()
	for _, tc := range cases {
		apply(t, kube, namespace, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: %[1]s}
spec:
  size: 2
  minSize: 1
  interactive: true
  flux:
    brokerConfig: |
      [resource]
      path = '/etc/flux/system/R'
      [bootstrap]
      curve_cert = '/etc/curve/curve.cert'
      default_port = 8050
      default_bind = 'tcp://*:%%p'
      default_connect = '%[2]s'
      hosts = [{ host = '%[1]s-[0-1]' }]
  containers:
    - image: %[3]s
`, tc.name, tc.connect, fluxImage))
	}
	f := fixtureIn(t, kube, namespace)
	f.Patience = 2 * readyPatience
	for _, tc := range cases {
		// Before the lead is ready, both the status and doctor may report it instead of its follower.
		f.WaitFor(tc.name, user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
		mc := f.WaitFor(tc.name, user.HasReason(v1alpha2.ConditionProgressing, tc.reason, append(tc.parts, "pod "+tc.name+"-1-")...))
		said := message(mc, v1alpha2.ConditionProgressing)
		t.Logf("%.1f s after it was applied: %s", time.Since(begin).Seconds(), said)
		out, err := pluginIn(t, kube, namespace, "", "doctor", tc.name)
		require.EqualError(t, err, "problems were found")
		assert.Contains(t, out, "PROBLEM  pods         "+tc.reason+": ")
	}
}
