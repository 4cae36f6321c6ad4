package queues

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

const archivePath = "/state/archive.tar"

// archived keeps the jobs of a cluster in a file.
func archived(mc *v1alpha2.MiniCluster) {
	mc.Spec.Archive, mc.Spec.Hibernation = &v1alpha2.FluxArchive{Path: archivePath}, &v1alpha2.Hibernation{}
}

// allowPreemption lets Jobs of a higher priority preempt others in the queue, and creates a priority with the name of
// the namespace.
func (f *fixture) allowPreemption() {
	f.Helper()
	f.Kubectl("patch", "clusterqueue", f.Namespace, "--type=merge", "-p", `{"spec":{"preemption":{"withinClusterQueue":"LowerPriority"}}}`)
	f.Apply(`
apiVersion: kueue.x-k8s.io/v1beta2
kind: WorkloadPriorityClass
metadata: {name: ` + f.Namespace + `}
value: 1000
description: Preempts others.
`)
}

// urgent creates a plain Job of a higher priority that needs most of the quota.
func (f *fixture) urgent() {
	f.Helper()
	f.urgentOf(5, corev1.Container{Image: "c:1"}, "1")
}

// urgentOf creates such a Job with a number of pods that have a container, and CPUs for each.
func (f *fixture) urgentOf(size int32, container corev1.Container, cpus string) {
	f.Helper()
	container.Name = "c"
	container.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpus)}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "urgent", Labels: map[string]string{
			"kueue.x-k8s.io/queue-name": queue, "kueue.x-k8s.io/priority-class": f.Namespace,
		}},
		Spec: batchv1.JobSpec{Parallelism: &size, Completions: &size, Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{container}},
		}},
	}
	_, err := f.Kube.BatchV1().Jobs(f.Namespace).Create(f.Context(), job, metav1.CreateOptions{})
	require.NoError(f, err)
	f.Eventually("the urgent Job", func(ctx context.Context) (string, error) {
		job, err := f.Kube.BatchV1().Jobs(f.Namespace).Get(ctx, "urgent", metav1.GetOptions{})
		if err != nil || job.Status.Ready != nil && *job.Status.Ready == size {
			return "", err
		}
		return "its pods are not ready", nil
	})
}

// preempted waits until the Job of a MiniCluster is suspended and has no pods.
func (f *fixture) preempted(name string) {
	f.Helper()
	f.WaitFor(name, user.Has(v1alpha2.ConditionSuspended, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
	f.Eventually("the pods of "+name, func(ctx context.Context) (string, error) {
		pods, err := user.ListPods(ctx, f.Kube, f.Namespace, user.Selector(name))
		if err != nil || len(pods) == 0 {
			return "", err
		}
		return "there are some", nil
	})
}

// TestPreemption: Kueue preempts a cluster by suspending its Job. The pods end, and with them the agents, which save
// the jobs (tests of the agent); the same Job runs again when there is quota, and the lead restores them. The
// MiniCluster stays as it was.
func TestPreemption(t *testing.T) {
	for name, annotations := range map[string][]string{"plain": nil, "elastic": {"elastic-job=true"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.allowPreemption()
			f.CreateReady("low", 4, queued(annotations...), archived)
			before := f.Job("low").UID
			f.urgent()
			f.preempted("low")
			assert.Empty(t, agents.Of("low").Hibernations(), "Kueue does not wait for a hibernation")
			f.Kubectl("delete", "job", "urgent")
			f.WaitFor("low", user.SpecSize(4), f.Ready(4))
			assert.Equal(t, before, f.Job("low").UID)
			f.waitForQuota("4")
		})
	}
}

// TestHibernateInQueue: a cluster that hibernates returns its quota and has no Workload. It waits for quota again when
// it wakes, even at another size.
func TestHibernateInQueue(t *testing.T) {
	f := newFixture(t)
	f.allowPreemption()
	agent := agents.Of("winter")
	agent.Saves(control.HibernateState{Pending: 1000, Demand: 8, Bytes: 1 << 20, Location: archivePath, Checksum: "c0ffee"})
	f.CreateReady("winter", 4, queued(), archived)
	f.suspend("winter", true)
	f.hibernated("winter")
	f.waitForQuota("0")

	f.urgent()
	f.SetSize("winter", 6)
	f.suspend("winter", false)
	f.WaitFor("winter", user.SpecSize(6), user.Has(v1alpha2.ConditionSuspended, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
	assert.Empty(t, f.pods("winter"))
	f.Kubectl("delete", "job", "urgent")
	f.WaitFor("winter", f.Ready(6), user.Has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonAwake))
	f.waitForQuota("6")
}

// TestHibernatePreempted: a cluster that Kueue has preempted has saved its jobs when its pods ended. Hibernating it
// then deletes the Job without asking an agent, and Kueue forgets it.
func TestHibernatePreempted(t *testing.T) {
	f := newFixture(t)
	f.allowPreemption()
	f.CreateReady("both", 4, queued(), archived)
	f.urgent()
	f.preempted("both")
	f.suspend("both", true)
	f.hibernated("both")
	f.Kubectl("delete", "job", "urgent")
	f.waitForQuota("0")
	f.SetSize("both", 2)
	f.suspend("both", false)
	f.WaitFor("both", f.Ready(2), user.Has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonAwake))
	assert.Empty(t, agents.Of("both").Hibernations())
}

func (f *fixture) suspend(name string, suspend bool) {
	f.Helper()
	f.Patch(name, map[string]any{"spec": map[string]any{"suspend": suspend}})
}

// hibernated waits until a MiniCluster has neither a Job nor pods nor Workloads.
func (f *fixture) hibernated(name string) {
	f.Helper()
	f.WaitFor(name, user.Has(v1alpha2.ConditionHibernated, metav1.ConditionTrue, v1alpha2.ReasonHibernated))
	f.Eventually("nothing of "+name, func(ctx context.Context) (string, error) {
		text, err := f.Cluster.Kubectl(ctx, "get", "workloads,jobs,pods", "--namespace="+f.Namespace, "--output=name")
		if err != nil {
			return "", err
		}
		return others(text, "urgent"), nil
	})
}
