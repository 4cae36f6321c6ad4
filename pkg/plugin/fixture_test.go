package plugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	fakediscovery "k8s.io/client-go/discovery/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/util/exec"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	fluxfake "minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
)

// fixture runs commands of the plugin against fake clientsets.
type fixture struct {
	*testing.T
	kube     *kubefake.Clientset
	flux     *fluxfake.Clientset
	executor *fakeExecutor
	in       *bytes.Buffer
	out, err *bytes.Buffer
}

// newFixture has a cluster with objects: MiniClusters, and objects of Kubernetes.
func newFixture(t *testing.T, objects ...runtime.Object) *fixture {
	t.Helper()
	var kube, flux []runtime.Object
	for _, o := range objects {
		if _, ok := o.(*v1alpha2.MiniCluster); ok {
			flux = append(flux, o)
		} else {
			kube = append(kube, o)
		}
	}
	f := &fixture{
		T: t, kube: kubefake.NewClientset(kube...), flux: fluxfake.NewClientset(flux...),
		executor: &fakeExecutor{}, in: &bytes.Buffer{}, out: &bytes.Buffer{}, err: &bytes.Buffer{},
	}
	discovery := f.kube.Discovery().(*fakediscovery.FakeDiscovery) //nolint:forcetypeassert // the fake clientset has this type
	discovery.FakedServerVersion = &version.Info{Major: "1", Minor: "37", GitVersion: "v1.37.2"}
	f.kube.Resources = []*metav1.APIResourceList{{GroupVersion: v1alpha2.SchemeGroupVersion.String()}}
	return f
}

// run runs the plugin with arguments, and returns its standard output and its error.
func (f *fixture) run(args ...string) (string, error) {
	f.Helper()
	f.out.Reset()
	f.err.Reset()
	streams := genericiooptions.IOStreams{In: f.in, Out: f.out, ErrOut: f.err}
	cmd := newCommand(&factory{
		config: genericclioptions.NewConfigFlags(true), streams: streams,
		test: &session{IOStreams: streams, kube: f.kube, flux: f.flux, namespace: "team", executor: f.executor},
	})
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(f.Context())
	return f.out.String(), err
}

// must is run for a command that succeeds.
func (f *fixture) must(args ...string) string {
	f.Helper()
	out, err := f.run(args...)
	require.NoError(f, err)
	return out
}

// fakeExecutor answers commands in pods by their flux command line, and remembers what it was asked.
type fakeExecutor struct {
	answers map[string]string
	codes   map[string]int // exit codes of commands that have an answer, 0 by default
	err     error
	asked   []string
	stdin   string // of the last command
}

func (e *fakeExecutor) Execute(_ context.Context, x execution) error {
	line := strings.Join(x.command, " ")
	e.asked = append(e.asked, fmt.Sprintf("%s/%s: %s", x.pod.Name, x.container, line))
	if e.err != nil {
		return e.err
	}
	if x.stdin != nil {
		text, err := io.ReadAll(x.stdin)
		if err != nil {
			return err
		}
		e.stdin = string(text)
	}
	for prefix, answer := range e.answers {
		if strings.Contains(line, prefix) {
			fmt.Fprint(x.stdout, answer)
			if code := e.codes[prefix]; code != 0 {
				return exec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
			}
			return nil
		}
	}
	fmt.Fprint(x.stderr, "no such command")
	return exec.CodeExitError{Err: fmt.Errorf("command terminated with exit code 127"), Code: 127}
}

// sampleAge is the age of the sample. Ages of more than eight hours are shown in hours, so the texts do not change
// while a test runs.
const sampleAge = 10*time.Hour + 30*time.Minute

// sample is a ready MiniCluster of size 4.
func sample(mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	size := int32(4)
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team", Name: "sample", UID: "uid-of-sample", Generation: 2,
			CreationTimestamp: metav1.NewTime(time.Now().Add(-sampleAge)),
		},
		Spec: v1alpha2.MiniClusterSpec{
			Size: &size, MaxSize: 8, MinSize: 1, Interactive: true,
			Containers: []v1alpha2.MiniClusterContainer{{Image: "flux"}},
		},
		Status: v1alpha2.MiniClusterStatus{
			Size: 4, ReadySize: 4, MaximumSize: 8, ObservedGeneration: 2,
			Conditions: []metav1.Condition{
				{Type: v1alpha2.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v1alpha2.ReasonValid, Message: "the spec is valid"},
				{Type: v1alpha2.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha2.ReasonReady, Message: "4 of 4 pods are ready"},
			},
		},
	}
	for _, mod := range mods {
		mod(mc)
	}
	return mc
}

// condition sets a condition of a MiniCluster.
func condition(kind string, status metav1.ConditionStatus, reason, message string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		for i := range mc.Status.Conditions {
			if mc.Status.Conditions[i].Type == kind {
				mc.Status.Conditions[i].Status, mc.Status.Conditions[i].Reason, mc.Status.Conditions[i].Message = status, reason, message
				return
			}
		}
		mc.Status.Conditions = append(mc.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
	}
}

// jobOf is the Job of a MiniCluster with numbers of pods that exist and that are ready.
func jobOf(t *testing.T, mc *v1alpha2.MiniCluster, active, ready int32) *batchv1.Job {
	t.Helper()
	complete := mc.DeepCopy()
	v1alpha2.SetDefaults(complete)
	job, err := resources.BuildJob(complete, resources.NewFixed(complete), resources.Environment{}, *mc.Spec.Size)
	require.NoError(t, err)
	job.UID, job.CreationTimestamp = "uid-of-job", mc.CreationTimestamp
	job.Status.Active, job.Status.Ready = active, &ready
	return job
}

// podsOf are pods of a Job. Each is changed by mods.
func podsOf(job *batchv1.Job, number int, mods ...func(*corev1.Pod)) []runtime.Object {
	var pods []runtime.Object
	for i := range number {
		template := job.Spec.Template.DeepCopy()
		pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
		pod.Namespace, pod.Name = job.Namespace, fmt.Sprintf("%s-%d-abcde", job.Name, i)
		pod.CreationTimestamp = job.CreationTimestamp
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
		pod.Labels[batchv1.JobNameLabel] = job.Name // the Job controller adds both
		pod.Labels[batchv1.JobCompletionIndexAnnotation] = fmt.Sprint(i)
		pod.Annotations[batchv1.JobCompletionIndexAnnotation] = fmt.Sprint(i)
		pod.Spec.NodeName = "node-1"
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
		for _, mod := range mods {
			mod(pod)
		}
		pods = append(pods, pod)
	}
	return pods
}
