package controller_test

import (
	"context"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	client "minicluster.internal/operator/pkg/generated/clientset/versioned/typed/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// patience is the timeout of waits for something that should happen soon.
const patience = user.Patience

// fixture is a fixture of package user with short names for what these tests use in most lines.
type fixture struct {
	*user.Fixture
	cluster   *cluster.Cluster
	user      user.Clients
	kube      kubernetes.Interface
	namespace string
}

// check is a check of a MiniCluster.
type check = user.Check

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return fixtureOf(user.NewFixture(t, suite.Cluster(t)))
}

func fixtureOf(f *user.Fixture) *fixture {
	return &fixture{Fixture: f, cluster: f.Cluster, user: f.Clients, kube: f.Kube, namespace: f.Namespace}
}

func (f *fixture) miniclusters() client.MiniClusterInterface { return f.MiniClusters() }

func (f *fixture) create(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	return f.Create(name, size, mods...)
}

func (f *fixture) createReady(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	return f.CreateReady(name, size, mods...)
}

func maxSize(n int32) func(*v1alpha2.MiniCluster) { return user.MaxSize(n) }

func headless(service string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Network = &v1alpha2.Network{HeadlessName: service} }
}

func (f *fixture) eventually(what string, check func(context.Context) (string, error)) {
	f.Helper()
	f.Eventually(what, check)
}

func (f *fixture) waitFor(name string, checks ...check) *v1alpha2.MiniCluster {
	f.Helper()
	return f.WaitFor(name, checks...)
}

func (f *fixture) ready(size int32) check { return f.Ready(size) }

func specSize(size int32) check { return user.SpecSize(size) }

// observed checks that the controller has reacted to the last change of a spec.
func observed(mc *v1alpha2.MiniCluster) string {
	if mc.Status.ObservedGeneration != mc.Generation {
		return "not observed yet"
	}
	return ""
}

func has(kind string, status metav1.ConditionStatus, reason string, parts ...string) check {
	return user.Has(kind, status, reason, parts...)
}

func (f *fixture) setSize(name string, size int32) {
	f.Helper()
	f.SetSize(name, size)
}

func (f *fixture) patch(name string, patch map[string]any) {
	f.Helper()
	f.Patch(name, patch)
}

func (f *fixture) job(name string) *batchv1.Job {
	f.Helper()
	return f.Job(name)
}

func (f *fixture) jobSizes(name string) func() []int32 {
	f.Helper()
	return f.JobSizes(name)
}

// podIndexes returns the completion indexes of a MiniCluster's pods that are neither terminating nor have ended.
func (f *fixture) podIndexes(ctx context.Context, name string) ([]string, error) {
	pods, err := f.kube.CoreV1().Pods(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: user.Selector(name)})
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
	return f.LeadPod(name)
}

func (f *fixture) waitForEvent(name, reason string, parts ...string) {
	f.Helper()
	f.WaitForEvent(name, reason, parts...)
}
