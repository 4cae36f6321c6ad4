package user

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

// Patience is the timeout of tests that wait for something that should happen soon. It is long because the machine
// may be busy, and because the garbage collector discovers new kinds only every 30 s; it is not a measure of speed.
const Patience = 5 * time.Minute

// interval is the usual time between the checks of a wait.
const interval = 10 * time.Millisecond

// Fixture is a namespace for one test, the clients of its user, and functions to wait for states in it.
type Fixture struct {
	*testing.T
	Clients
	Cluster *cluster.Cluster

	// Interval is the time between the checks of a wait.
	Interval time.Duration
	// Patience limits each wait.
	Patience time.Duration
	// Report is added to the failure of a wait.
	Report func() string
}

// NewFixture creates a namespace that is deleted after the test.
func NewFixture(t *testing.T, kube *cluster.Cluster) *Fixture {
	t.Helper()
	return FixtureIn(t, kube, clustertest.Namespace(t, kube))
}

// FixtureIn returns a fixture in an existing namespace.
func FixtureIn(t *testing.T, kube *cluster.Cluster, namespace string) *Fixture {
	t.Helper()
	return &Fixture{
		T: t, Clients: In(t, kube, namespace), Cluster: kube,
		Interval: interval, Patience: Patience, Report: func() string { return "" },
	}
}

// Eventually waits until a check returns "", and fails with the last text.
func (f *Fixture) Eventually(what string, check func(context.Context) (string, error)) {
	f.Helper()
	if last := poll(f.Context(), f.Interval, f.Patience, check); last != "" {
		require.FailNow(f, "not met in time", "%s: %s\n%s", what, last, f.Report())
	}
}

// Create creates a MiniCluster like that of the tutorial.
func (f *Fixture) Create(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	return f.Clients.Create(f.T, name, size, mods...)
}

// CreateReady creates a MiniCluster and waits until its status reports that all pods are ready.
func (f *Fixture) CreateReady(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	f.Create(name, size, mods...)
	return f.WaitFor(name, f.Ready(size))
}

// SetSize writes spec.size.
func (f *Fixture) SetSize(name string, size int32) *v1alpha2.MiniCluster {
	f.Helper()
	return f.Clients.SetSize(f.T, name, size)
}

// Patch applies a merge patch to a MiniCluster.
func (f *Fixture) Patch(name string, patch map[string]any) *v1alpha2.MiniCluster {
	f.Helper()
	return f.Clients.Patch(f.T, name, patch)
}

// LeadPod returns the name of a MiniCluster's pod 0.
func (f *Fixture) LeadPod(name string) string {
	f.Helper()
	return f.Clients.LeadPod(f.T, name)
}

// Job waits until a MiniCluster has a Job, and returns it.
func (f *Fixture) Job(name string) *batchv1.Job {
	f.Helper()
	var job *batchv1.Job
	f.Eventually("Job "+name, func(ctx context.Context) (_ string, err error) {
		job, err = f.Kube.BatchV1().Jobs(f.Namespace).Get(ctx, name, metav1.GetOptions{})
		return "", err
	})
	return job
}

// JobSizes records the parallelism and the completions of a Job with a watch. The returned function stops it and
// returns all values in order.
func (f *Fixture) JobSizes(name string) func() []int32 {
	f.Helper()
	w, err := f.Kube.BatchV1().Jobs(f.Namespace).Watch(f.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
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
		return <-done
	}
}

// Kubectl runs kubectl in the namespace.
func (f *Fixture) Kubectl(args ...string) string {
	f.Helper()
	output, err := f.Cluster.Kubectl(f.Context(), append(args, "--namespace="+f.Namespace)...)
	require.NoError(f, err)
	return output
}

// Apply applies documents like a user.
func (f *Fixture) Apply(documents string) string {
	f.Helper()
	output, err := f.Cluster.KubectlInput(f.Context(), strings.NewReader(documents), "apply", "--namespace="+f.Namespace, "--filename=-")
	require.NoError(f, err)
	return output
}

// Audit starts to record the requests to the API server.
func (f *Fixture) Audit() *cluster.AuditLog {
	f.Helper()
	log, err := f.Cluster.Audit()
	require.NoError(f, err)
	return log
}

// Selector returns the selector of the pods of a MiniCluster.
func Selector(name string) string { return v1alpha2.LabelHPASelector + "=" + name }

// WaitForPods waits until the pods of a selector, in the order of their indexes, are in the expected state. They
// include terminating pods.
func (f *Fixture) WaitForPods(selector string, wanted func([]corev1.Pod) bool) []corev1.Pod {
	f.Helper()
	var pods []corev1.Pod
	f.Eventually("pods "+selector, func(ctx context.Context) (string, error) {
		var err error
		if pods, err = ListPods(ctx, f.Kube, f.Namespace, selector); err != nil || wanted(pods) {
			return "", err
		}
		var states []string
		for _, pod := range pods {
			states = append(states, pod.Name+" "+string(pod.Status.Phase))
		}
		return "pods are " + strings.Join(states, ", "), nil
	})
	return pods
}

// WaitForEvent waits for an event about an object whose message contains all parts.
func (f *Fixture) WaitForEvent(name, reason string, parts ...string) {
	f.Helper()
	f.Eventually("event "+reason, func(ctx context.Context) (string, error) {
		events, err := f.Kube.CoreV1().Events(f.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
		if err != nil {
			return "", err
		}
		var others []string
		for _, e := range events.Items {
			if e.Reason == reason && missing(e.Message, parts) == "" {
				return "", nil
			}
			others = append(others, e.Type+" "+e.Reason+": "+e.Message)
		}
		return "the events are " + strings.Join(others, "; "), nil
	})
}
