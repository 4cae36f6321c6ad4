package queues

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

// queue is the name of the queue in the namespace of each test.
const queue = "user-queue"

// fixture is a namespace with a separate quota and queue of Kueue: 6 CPUs, as in the example.
type fixture struct {
	*user.Fixture
	kueue dynamic.Interface
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	neighbour.Need(t)
	t.Parallel()
	return fixtureIn(t, suite.Cluster(t))
}

// fixtureIn returns a fixture in a cluster with Kueue.
func fixtureIn(t *testing.T, kube *cluster.Cluster) *fixture {
	t.Helper()
	client, err := dynamic.NewForConfig(kube.Config())
	require.NoError(t, err)
	f := &fixture{Fixture: user.NewFixture(t, kube), kueue: client}
	f.Report = f.describe
	documents := strings.NewReplacer("flux-operator", f.Namespace, "projects", f.Namespace, "name: default", "name: "+f.Namespace).Replace(f.example("queues.yaml"))
	f.Apply(documents)
	return f
}

// example returns a file of the example.
func (f *fixture) example(name string) string {
	f.Helper()
	root, err := neighbour.Root()
	require.NoError(f, err)
	text, err := os.ReadFile(filepath.Join(root, "examples", "queues", "kueue", name))
	require.NoError(f, err)
	return string(text)
}

// describe lists the Job, the pods and the Workloads for the failure of a wait.
func (f *fixture) describe() string {
	text, err := f.Cluster.Kubectl(context.WithoutCancel(f.Context()), "get", "minicluster,job,pod,workload,event", "--namespace="+f.Namespace, "-o=wide")
	return fmt.Sprint(text, err)
}

// queued puts the Job into the queue, and gives each pod one CPU.
func queued(annotations ...string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.MaxSize = 8
		mc.Spec.JobLabels = map[string]string{"kueue.x-k8s.io/queue-name": queue}
		mc.Spec.JobAnnotations = map[string]string{}
		for _, a := range annotations {
			name, value, _ := strings.Cut(a, "=")
			mc.Spec.JobAnnotations["kueue.x-k8s.io/"+name] = value
		}
		cpu := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
		mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Requests: cpu, Limits: cpu}
	}
}

func kind(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kueue.x-k8s.io", Version: "v1beta2", Resource: name}
}

// waitForQuota waits until the quota that Kueue counts as used is a number of CPUs.
func (f *fixture) waitForQuota(cpus string) {
	f.Helper()
	f.Eventually("the used quota", func(ctx context.Context) (string, error) {
		q, err := f.kueue.Resource(kind("clusterqueues")).Get(ctx, f.Namespace, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		flavors, _, err := unstructured.NestedSlice(q.Object, "status", "flavorsUsage")
		if err != nil || len(flavors) == 0 {
			return "none is reported", err
		}
		used, _, _ := unstructured.NestedSlice(flavors[0].(map[string]any), "resources")
		if got := fmt.Sprint(used[0].(map[string]any)["total"]); got != cpus {
			return got + " CPUs are used, not " + cpus, nil
		}
		return "", nil
	})
}

// workloads returns the numbers of pods of the Workloads that have not finished, oldest first.
func (f *fixture) workloads() []int64 {
	f.Helper()
	list, err := f.kueue.Resource(kind("workloads")).Namespace(f.Namespace).List(f.Context(), metav1.ListOptions{})
	require.NoError(f, err)
	var counts []int64
	for i := range list.Items {
		if condition(&list.Items[i], "Finished") == metav1.ConditionTrue {
			continue
		}
		sets, _, err := unstructured.NestedSlice(list.Items[i].Object, "spec", "podSets")
		require.NoError(f, err)
		counts = append(counts, sets[0].(map[string]any)["count"].(int64))
	}
	return counts
}

// condition returns the status of a condition.
func condition(u *unstructured.Unstructured, kind string) metav1.ConditionStatus {
	all, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range all {
		if c := c.(map[string]any); c["type"] == kind {
			return metav1.ConditionStatus(c["status"].(string))
		}
	}
	return metav1.ConditionUnknown
}

// pods returns the pods of a MiniCluster that do not terminate.
func (f *fixture) pods(name string) (pods []corev1.Pod) {
	f.Helper()
	all, err := user.ListPods(f.Context(), f.Kube, f.Namespace, user.Selector(name))
	require.NoError(f, err)
	for _, pod := range all {
		if pod.DeletionTimestamp == nil && !resources.PodEnded(&pod) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// uids returns the UIDs of the first pods.
func (f *fixture) uids(name string, n int) (uids []types.UID) {
	f.Helper()
	pods := f.pods(name)
	require.GreaterOrEqual(f, len(pods), n)
	for _, pod := range pods[:n] {
		uids = append(uids, pod.UID)
	}
	return uids
}

// waitForGated waits until numbers of pods are ready and have scheduling gates.
func (f *fixture) waitForGated(name string, ready, gated int) {
	f.Helper()
	f.Eventually("pods with gates", func(context.Context) (string, error) {
		gotReady, gotGated := 0, 0
		for _, pod := range f.pods(name) {
			switch {
			case len(pod.Spec.SchedulingGates) > 0:
				gotGated++
			case resources.PodReady(&pod):
				gotReady++
			}
		}
		if gotReady != ready || gotGated != gated {
			return fmt.Sprintf("%d pods are ready and %d have gates", gotReady, gotGated), nil
		}
		return "", nil
	})
}

// neverSuspends fails if the Job of a MiniCluster is suspended until the returned function is called.
func (f *fixture) neverSuspends(name string) func() {
	f.Helper()
	w, err := f.Kube.BatchV1().Jobs(f.Namespace).Watch(f.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	require.NoError(f, err)
	done := make(chan bool)
	go func() {
		suspended := false
		for e := range w.ResultChan() {
			if job, ok := e.Object.(*batchv1.Job); ok {
				suspended = suspended || resources.Suspended(job)
			}
		}
		done <- suspended
	}()
	return func() {
		f.Helper()
		w.Stop()
		assert.False(f, <-done, "the Job was suspended")
	}
}

// others returns the lines that do not contain a name.
func others(lines, name string) string {
	var found []string
	for line := range strings.Lines(lines) {
		if !strings.Contains(line, name) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, ", ")
}
