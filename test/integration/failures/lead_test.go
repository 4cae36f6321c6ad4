package failures_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// injector adds a container to every pod of namespaces with a label, as a service mesh does.
const injector = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: add-proxy}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
    namespaceSelector: {matchLabels: {mesh: "on"}}
  reinvocationPolicy: Never
  failurePolicy: Fail
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          [JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "proxy", image: "proxy:1"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: add-proxy}
spec: {policyName: add-proxy}
`

// inject applies the policy once for all tests: two that apply it at the same time would find that it exists.
var inject sync.Once

// withProxy makes a fixture whose pods get another container.
func withProxy(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.Kubectl("label", "namespace", f.Namespace, "mesh=on")
	inject.Do(func() { f.Apply(injector) })
	f.Eventually("the policy to be in effect", func(ctx context.Context) (string, error) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "trial-"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "own", Image: "own:1"}}},
		}
		made, err := f.Kube.CoreV1().Pods(f.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil || len(made.Spec.Containers) < 2 {
			return "it is not", err
		}
		return "", nil
	})
	return f
}

// withProgram gives a MiniCluster a program.
func withProgram(mc *v1alpha2.MiniCluster) {
	mc.Spec.Interactive = false
	mc.Spec.Containers[0].RunFlux, mc.Spec.Containers[0].Command = true, "echo done"
}

// withUploader adds a sidecar that the agent runs.
func withUploader(mc *v1alpha2.MiniCluster) {
	mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: "uploader", Image: "busybox", Command: "upload /data"})
}

// failContainer ends the containers of a pod: one with exit code 1, the others with 0.
func (f *fixture) failContainer(pod, container string) {
	f.Helper()
	require.NoError(f, f.Cluster.AnnotatePod(f.Context(), f.Namespace, pod, map[string]string{
		cluster.AnnotationExitContainer: container, cluster.AnnotationExitCode: "1",
	}))
}

// leads follows the pods of index 0 of a MiniCluster. The function that it returns waits until the Job has ended, after
// which it creates no more pods, and checks that there was one lead only.
func (f *fixture) leads(name string) (jobEnds func()) {
	f.Helper()
	w, err := f.Kube.CoreV1().Pods(f.Namespace).Watch(f.Context(), metav1.ListOptions{
		LabelSelector: user.Selector(name) + "," + batchv1.JobCompletionIndexAnnotation + "=0",
	})
	require.NoError(f, err)
	seen := make(chan map[string]bool)
	go func() {
		names := map[string]bool{}
		for e := range w.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok {
				names[pod.Name] = true
			}
		}
		seen <- names
	}()
	return func() {
		f.Helper()
		var end *batchv1.JobCondition
		f.Eventually("the end of Job "+name, func(ctx context.Context) (string, error) {
			job, err := f.Kube.BatchV1().Jobs(f.Namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			if end = resources.FinishedCondition(job); end == nil {
				return fmt.Sprintf("it runs: %+v", job.Status), nil
			}
			return "", nil
		})
		w.Stop()
		f.Logf("the Job ended: %s, %s: %s", end.Type, end.Reason, end.Message)
		assert.Len(f, <-seen, 1, "pods of the lead")
	}
}

// TestFailedContainerBesideFlux: only the Flux container decides whether the work is complete, and the program does not
// run again.
func TestFailedContainerBesideFlux(t *testing.T) {
	for name, tc := range map[string]struct {
		container string
		mods      []func(*v1alpha2.MiniCluster)
	}{
		"sidecar": {"uploader", []func(*v1alpha2.MiniCluster){withUploader}},
		"sidecar and a limit of the user": {"uploader", []func(*v1alpha2.MiniCluster){withUploader, func(mc *v1alpha2.MiniCluster) {
			mc.Spec.BackoffLimit = new(int32(5))
		}}},
		"added container": {container: "proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			f := withProxy(t)
			f.Create("car", 2, append([]func(*v1alpha2.MiniCluster){user.MaxSize(4), withProgram}, tc.mods...)...)
			f.WaitFor("car", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
			lead := f.podOfIndex("car", "0").Name
			jobEnds := f.leads("car")
			f.failContainer(lead, tc.container)
			f.WaitFor("car", user.HasReason(v1alpha2.ConditionComplete, v1alpha2.ReasonComplete,
				fmt.Sprintf("sidecar %s of pod %s failed with exit code 1", tc.container, lead)))
			f.WaitForEvent("car", v1alpha2.ReasonComplete, tc.container)
			jobEnds()
			f.WaitFor("car", user.HasReason(v1alpha2.ConditionComplete, v1alpha2.ReasonComplete))
		})
	}
}

// TestSidecarReportsItsCode: the container of a sidecar ends with 0, and its termination message has the code.
func TestSidecarReportsItsCode(t *testing.T) {
	f := newFixture(t)
	f.Create("told", 2, user.MaxSize(4), withProgram, withUploader)
	f.WaitFor("told", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	lead := f.podOfIndex("told", "0")
	jobEnds := f.leads("told")
	f.setStatus(lead, `{"status": {"phase": "Succeeded", "containerStatuses": [
		{"name": "told", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}},
		{"name": "uploader", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
		 "state": {"terminated": {"exitCode": 0, "message": "the sidecar failed with exit code 7\n"}}}]}}`)
	f.WaitFor("told", user.HasReason(v1alpha2.ConditionComplete, v1alpha2.ReasonComplete, "sidecar uploader of pod "+lead.Name+" failed with exit code 7"))
	jobEnds()
}

// TestAddedContainerKeepsPod: the Flux container of a pod has ended, and a container that something else added has not.
func TestAddedContainerKeepsPod(t *testing.T) {
	f := withProxy(t)
	kept := func(name string, code int) *corev1.Pod {
		f.Helper()
		f.Create(name, 3, user.MaxSize(4), withProgram, unready, func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Command = name })
		f.hasPods(name, 3, 0)
		pod := f.podOfIndex(name, "0")
		f.setStatus(pod, strings.NewReplacer("NAME", name, "CODE", fmt.Sprint(code)).Replace(`{"status": {"containerStatuses": [
			{"name": "NAME", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": CODE}}},
			{"name": "proxy", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}}`))
		return pod
	}
	t.Run("after its success", func(t *testing.T) {
		pod := kept("mesh", 0)
		jobEnds := f.leads("mesh")
		f.WaitFor("mesh", user.HasReason(v1alpha2.ConditionComplete, v1alpha2.ReasonComplete,
			"container proxy, which something else added, keeps pod "+pod.Name+" running", "native sidecars", "spec.pod.annotations"))
		f.Eventually("the followers to end", func(context.Context) (string, error) {
			if pods := f.pods("mesh"); len(pods) != 1 || pods[0].UID != pod.UID || pods[0].DeletionTimestamp != nil {
				return fmt.Sprintf("there are %d pods", len(pods)), nil
			}
			return "", nil
		})
		_, err := f.Kube.CoreV1().Pods(f.Namespace).Patch(t.Context(), pod.Name, types.MergePatchType,
			[]byte(`{"metadata":{"annotations":{"`+cluster.AnnotationUnready+`":"false"}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
		f.failContainer(pod.Name, "proxy")
		jobEnds()
		f.WaitFor("mesh", user.HasReason(v1alpha2.ConditionComplete, v1alpha2.ReasonComplete))
	})
	t.Run("after a failure", func(*testing.T) {
		pod := kept("broken", 143)
		f.WaitFor("broken", user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonPodsFailing,
			"pod "+pod.Name, "container proxy, which something else added", "native sidecars"))
	})
}
