package controller_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	client "minicluster.internal/operator/pkg/generated/clientset/versioned/typed/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// patience is how long a test waits for something that should happen soon. It is long because the machine may be
// busy, and because the garbage collector looks for new kinds only every 30 s; it is not a measure of speed.
const patience = 3 * time.Minute

// fixture is a namespace of a test's own, and the clients of its user.
type fixture struct {
	*testing.T
	cluster   *cluster.Cluster
	user      user.Clients
	kube      kubernetes.Interface
	namespace string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	kube := suite.Cluster(t)
	u := user.In(t, kube, clustertest.Namespace(t, kube))
	return &fixture{T: t, cluster: kube, user: u, kube: u.Kube, namespace: u.Namespace}
}

func (f *fixture) miniclusters() client.MiniClusterInterface { return f.user.MiniClusters() }

// create makes a MiniCluster of the tutorial's shape.
func (f *fixture) create(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	return f.user.Create(f.T, name, size, mods...)
}

// createReady makes a MiniCluster and waits until its status says that all pods are
// ready.
func (f *fixture) createReady(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	f.create(name, size, mods...)
	return f.waitFor(name, f.ready(size))
}

func maxSize(n int32) func(*v1alpha2.MiniCluster) { return user.MaxSize(n) }

func headless(service string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Network = &v1alpha2.Network{HeadlessName: service} }
}

// eventually waits until a check returns "", and fails with the last answer.
func (f *fixture) eventually(what string, check func(context.Context) (string, error)) {
	f.Helper()
	user.Eventually(f.T, patience, what, check)
}

// check says what a MiniCluster lacks, "" when nothing.
type check func(*v1alpha2.MiniCluster) string

func (f *fixture) waitFor(name string, checks ...check) *v1alpha2.MiniCluster {
	f.Helper()
	var mc *v1alpha2.MiniCluster
	f.eventually("MiniCluster "+name, func(ctx context.Context) (string, error) {
		var err error
		if mc, err = f.miniclusters().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return "", err
		}
		// What the status says of an older spec is not what the test waits for.
		if got := mc.Status.ObservedGeneration; got != mc.Generation {
			return fmt.Sprintf("observed generation %d of %d", got, mc.Generation), nil
		}
		for _, c := range checks {
			if lack := c(mc); lack != "" {
				return lack, nil
			}
		}
		return "", nil
	})
	return mc
}

// ready waits for the Job too: it can be on its way to another size, and the status older than that.
func (f *fixture) ready(size int32) check {
	return func(mc *v1alpha2.MiniCluster) string {
		if s := mc.Status; s.Size != size || s.ReadySize != size {
			return fmt.Sprintf("size %d, ready %d", s.Size, s.ReadySize)
		}
		if lack := has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonReady)(mc); lack != "" {
			return lack
		}
		lack, err := f.user.JobHas(f.Context(), mc.Name, size)
		if err != nil {
			return err.Error()
		}
		return lack
	}
}

func specSize(size int32) check {
	return func(mc *v1alpha2.MiniCluster) string {
		if got := mc.RequestedSize(); got != size {
			return fmt.Sprintf("spec.size is %d", got)
		}
		return ""
	}
}

func has(kind string, status metav1.ConditionStatus, reason string, parts ...string) check {
	return func(mc *v1alpha2.MiniCluster) string {
		c := meta.FindStatusCondition(mc.Status.Conditions, kind)
		if c == nil || c.Status != status || c.Reason != reason {
			return fmt.Sprintf("condition %s is %+v", kind, c)
		}
		for _, part := range parts {
			if !strings.Contains(c.Message, part) {
				return fmt.Sprintf("the message of %s lacks %q: %s", kind, part, c.Message)
			}
		}
		return ""
	}
}

func (f *fixture) setSize(name string, size int32) {
	f.Helper()
	f.user.SetSize(f.T, name, size)
}

func (f *fixture) patch(name string, patch map[string]any) {
	f.Helper()
	f.user.Patch(f.T, name, patch)
}

func (f *fixture) job(name string) *batchv1.Job {
	f.Helper()
	job, err := f.kube.BatchV1().Jobs(f.namespace).Get(f.Context(), name, metav1.GetOptions{})
	require.NoError(f, err)
	return job
}

// jobSizes follows the parallelism and completions of a Job by watch; the function
// that it returns stops and tells all that were seen.
func (f *fixture) jobSizes(name string) func() []int32 {
	f.Helper()
	ctx, stop := context.WithCancel(f.Context())
	w, err := f.kube.BatchV1().Jobs(f.namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: "metadata.name=" + name,
	})
	require.NoError(f, err)
	done := make(chan []int32)
	go func() {
		var seen []int32
		for e := range w.ResultChan() {
			if job, ok := e.Object.(*batchv1.Job); ok {
				seen = append(seen, *job.Spec.Parallelism, *job.Spec.Completions)
			}
		}
		done <- seen
	}()
	return func() []int32 {
		w.Stop()
		stop()
		return <-done
	}
}

// podIndexes are the completion indexes of a MiniCluster's pods that are not being
// deleted and have not ended.
func (f *fixture) podIndexes(ctx context.Context, name string) ([]string, error) {
	pods, err := f.kube.CoreV1().Pods(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: "hpa-selector=" + name})
	if err != nil {
		return nil, err
	}
	var indexes []string
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			indexes = append(indexes, pod.Labels[batchv1.JobCompletionIndexAnnotation])
		}
	}
	return indexes, nil
}

func (f *fixture) leadPod(name string) string {
	f.Helper()
	return f.user.LeadPod(f.T, name)
}

// waitForEvent waits for an event about a MiniCluster.
func (f *fixture) waitForEvent(name, reason string, parts ...string) {
	f.Helper()
	f.eventually("event "+reason, func(ctx context.Context) (string, error) {
		events, err := f.kube.CoreV1().Events(f.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
		if err != nil {
			return "", err
		}
		var others []string
		for _, e := range events.Items {
			if e.Reason == reason && containsAll(e.Message, parts) {
				return "", nil
			}
			others = append(others, e.Type+" "+e.Reason+": "+e.Message)
		}
		return "only saw " + strings.Join(others, "; "), nil
	})
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
