package controller_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

const archivePath = "/state/archive.tar"

// archived sets an archive, and how the cluster hibernates.
func archived(hibernation *v1alpha2.Hibernation) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Interactive, mc.Spec.Containers[0].Command = true, ""
		mc.Spec.Archive, mc.Spec.Hibernation = &v1alpha2.FluxArchive{Path: archivePath}, hibernation
	}
}

func savedState(pending, held, demand int) control.HibernateState {
	return control.HibernateState{Pending: pending, Held: held, Demand: demand, Bytes: 18234412, Location: archivePath, Checksum: "c0ffee"}
}

func (f *fixture) setSuspend(name string, suspend bool) {
	f.Helper()
	f.patch(name, map[string]any{"spec": map[string]any{"suspend": suspend}})
}

// withoutJob waits until a MiniCluster has neither a Job nor pods.
func (f *fixture) withoutJob(name string) {
	f.Helper()
	f.eventually("the Job and the pods to be gone", func(ctx context.Context) (string, error) {
		_, err := f.kube.BatchV1().Jobs(f.namespace).Get(ctx, name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return "the Job exists", err
		}
		pods, err := f.kube.CoreV1().Pods(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: user.Selector(name)})
		if err != nil || len(pods.Items) > 0 {
			return "pods exist", err
		}
		return "", nil
	})
}

func hibernated(parts ...string) check {
	return has(v1alpha2.ConditionHibernated, metav1.ConditionTrue, v1alpha2.ReasonHibernated, parts...)
}

// TestHibernate: the Job is deleted after the state was saved, and another one of another size continues with the same
// certificate.
func TestHibernate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("winter")
	agent.Saves(savedState(1000, 3, 8))
	agent.Running("ƒA", "ƒB")
	f.createReady("winter", 2, maxSize(4), archived(nil))
	before := f.job("winter")
	secrets := f.secretUIDs()

	f.setSuspend("winter", true)
	f.waitFor("winter", has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonHibernating,
		"waiting for 2 running jobs to end (ƒA, ƒB), which are canceled at "))
	assert.Equal(t, before.UID, f.job("winter").UID)
	agent.Running()
	mc := f.waitFor("winter", hibernated("1000 pending jobs and 3 held jobs are kept in /state/archive.tar"),
		has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonHibernated),
		has(v1alpha2.ConditionSuspended, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
	f.withoutJob("winter")
	assert.Equal(t, &v1alpha2.HibernatedJobs{Pending: 1000, Held: 3}, mc.Status.Hibernation.Jobs)
	assert.EqualValues(t, 8, mc.Status.Hibernation.Demand)
	assert.EqualValues(t, 18234412, mc.Status.Hibernation.Bytes)
	assert.Equal(t, archivePath, mc.Status.Hibernation.Location)
	f.waitForEvent("winter", "Hibernated", "1000 pending jobs")

	f.patch("winter", map[string]any{"spec": map[string]any{
		"maxSize": 8, "size": 8, "containers": []any{map[string]any{"image": "flux:new"}},
	}})
	f.waitFor("winter", hibernated(), specSize(8), func(mc *v1alpha2.MiniCluster) string {
		if mc.Status.MaximumSize != 8 {
			return "the maximum is not reported"
		}
		return ""
	})
	f.setSuspend("winter", false)
	mc = f.waitFor("winter", f.ready(8), has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonAwake),
		has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid))
	assert.Nil(t, mc.Status.Hibernation)
	job := f.job("winter")
	assert.NotEqual(t, before.UID, job.UID)
	assert.Equal(t, "flux:new", job.Spec.Template.Spec.Containers[0].Image)
	assert.Equal(t, string(before.UID), job.Annotations[v1alpha2.AnnotationIncarnation])
	assert.Equal(t, secrets, f.secretUIDs(), "the certificate stays")
	assert.Less(t, *job.Spec.ActiveDeadlineSeconds, v1alpha2.DefaultDeadlineSeconds+1)
}

// secretUIDs returns the UIDs of the Secrets in the namespace, by name.
func (f *fixture) secretUIDs() map[string]string {
	f.Helper()
	list, err := f.Cluster.Client().CoreV1().Secrets(f.namespace).List(f.Context(), metav1.ListOptions{})
	require.NoError(f, err)
	uids := map[string]string{}
	for i := range list.Items {
		uids[list.Items[i].Name] = string(list.Items[i].UID)
	}
	return uids
}

// TestSuspendedAtCreation: a MiniCluster that is created with spec.suspend has no objects until it is started.
func TestSuspendedAtCreation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("later", 2, func(mc *v1alpha2.MiniCluster) { mc.Spec.Suspend = true })
	f.waitFor("later", has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonNotStarted, "spec.suspend is true"),
		has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
	configMaps, err := f.kube.CoreV1().ConfigMaps(f.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=later"})
	require.NoError(t, err)
	assert.Empty(t, configMaps.Items)
	f.setSize("later", 3)
	f.setSuspend("later", false)
	f.waitFor("later", f.ready(3))
}

// TestSuspendWithoutState: a cluster that has nothing to keep its state in is stopped nevertheless.
func TestSuspendWithoutState(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("forgetful", 2)
	f.setSuspend("forgetful", true)
	f.waitFor("forgetful", has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonNothingKept, "it has neither"),
		has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
	f.withoutJob("forgetful")
	f.setSuspend("forgetful", false)
	f.waitFor("forgetful", f.ready(2))
}

// TestHibernationCalledOff: until the state is saved, the cluster can continue.
func TestHibernationCalledOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("hesitant")
	agent.Running("ƒA")
	f.createReady("hesitant", 2, maxSize(4), archived(nil))
	before := f.job("hesitant").UID
	f.setSuspend("hesitant", true)
	f.waitFor("hesitant", has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonHibernating, "waiting for 1 running job to end (ƒA)"))
	assert.True(t, agent.Stopped())
	f.setSuspend("hesitant", false)
	f.waitFor("hesitant", has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonAwake))
	assert.False(t, agent.Stopped())
	f.setSize("hesitant", 3)
	f.waitFor("hesitant", f.ready(3))
	assert.Equal(t, before, f.job("hesitant").UID)
}

// TestHibernationDeadline: jobs that run at the deadline are canceled and named.
func TestHibernationDeadline(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("strict")
	agent.Saves(savedState(0, 0, 0))
	agent.Running("ƒLong")
	f.createReady("strict", 1, archived(&v1alpha2.Hibernation{GracePeriodSeconds: new(int32(2))}))
	began := time.Now()
	f.setSuspend("strict", true)
	f.waitFor("strict", hibernated("canceled at the deadline: ƒLong"))
	assert.GreaterOrEqual(t, time.Since(began), 2*time.Second, "the grace period is not shortened by rounding")
}

// TestSaveFails: the pods stay while the state can't be saved.
func TestSaveFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("full")
	agent.Saves(savedState(1, 0, 1))
	agent.FailSave("no space left on device")
	f.createReady("full", 2, archived(nil))
	f.setSuspend("full", true)
	f.waitFor("full", has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonSaveFailed, "no space left on device"))
	f.waitForEvent("full", "SaveFailed", "no space left on device")
	f.job("full")
	agent.FailSave("")
	f.waitFor("full", hibernated("1 pending job"))
	f.withoutJob("full")
}

// TestScaleToZero: size 0 hibernates the cluster only where scaleToZero is set, and any other size wakes it.
func TestScaleToZero(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agents.Of("zero").Saves(savedState(4, 0, 3))
	f.createReady("zero", 2, maxSize(4), archived(nil))
	f.setSize("zero", 0)
	f.waitFor("zero", specSize(2), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonBelowMinimum))

	f.patch("zero", map[string]any{"spec": map[string]any{"hibernation": map[string]any{"scaleToZero": true}}})
	f.setSize("zero", 0)
	mc := f.waitFor("zero", hibernated("4 pending jobs"), specSize(0), has(v1alpha2.ConditionSuspended, metav1.ConditionTrue, v1alpha2.ReasonSuspended, "spec.size is 0"))
	assert.Equal(t, v1alpha2.CauseScaledToZero, mc.Status.Hibernation.Cause)
	f.withoutJob("zero")
	f.patch("zero", map[string]any{"spec": map[string]any{"size": nil}})
	f.waitFor("zero", hibernated(), specSize(0))
	f.setSize("zero", 3)
	f.waitFor("zero", f.ready(3))

	// A person who suspends it decides: a size does not wake it.
	f.setSuspend("zero", true)
	f.waitFor("zero", hibernated())
	f.setSize("zero", 0)
	f.setSize("zero", 4)
	f.waitFor("zero", hibernated(), specSize(4))
	f.setSuspend("zero", false)
	f.waitFor("zero", f.ready(4))
}

// TestIdleTimeout: an idle cluster hibernates, its size stays, and only a larger one wakes it.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("idle")
	agent.Saves(savedState(0, 2, 0))
	agent.Running("ƒA")
	agent.Idle(time.Hour)
	f.createReady("idle", 2, maxSize(4), archived(&v1alpha2.Hibernation{IdleTimeoutSeconds: 1}))
	f.eventually("the agent to be asked", func(context.Context) (string, error) {
		if requests := agent.Hibernations(); len(requests) == 0 || !requests[0].Query {
			return "no request", nil
		}
		return "", nil
	})
	assert.Nil(t, f.waitFor("idle", f.ready(2)).Status.Hibernation, "a job runs")
	agent.Running()
	mc := f.waitFor("idle", hibernated("2 held jobs"), specSize(2))
	assert.Equal(t, v1alpha2.CauseIdle, mc.Status.Hibernation.Cause)
	f.withoutJob("idle")
	f.setSize("idle", 1)
	f.waitFor("idle", hibernated(), specSize(1), func(mc *v1alpha2.MiniCluster) string {
		if mc.Status.Hibernation.Size != 1 {
			return "the smaller size is not recorded"
		}
		return ""
	})
	agent.Running("ƒB")
	f.setSize("idle", 2)
	f.waitFor("idle", f.ready(2))
}

// TestJobOfAnIdleCluster: a job that is submitted after the agent has reported an idle cluster, before the queues are
// stopped, cancels the hibernation. Otherwise it would wait until someone wakes the cluster.
func TestJobOfAnIdleCluster(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("late")
	agent.Saves(savedState(0, 0, 0))
	agent.Idle(time.Hour)
	agent.SubmitLate(1)
	f.createReady("late", 2, archived(&v1alpha2.Hibernation{IdleTimeoutSeconds: 2}))
	before := f.job("late").UID
	f.eventually("another query after the hibernation was canceled", func(context.Context) (string, error) {
		requests := agent.Hibernations()
		if len(requests) < 4 {
			return "not yet", nil
		}
		want := []control.Hibernate{{Query: true}, {Idle: true}, {Cancel: true}, {Query: true}}
		assert.Equal(t, want, requests[:4])
		return "", nil
	})
	f.waitFor("late", f.ready(2), has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonAwake), func(mc *v1alpha2.MiniCluster) string {
		if mc.Status.Hibernation != nil {
			return "the status has a hibernation"
		}
		return ""
	})
	assert.False(t, agent.Stopped(), "the queues have started again")
	assert.Equal(t, before, f.job("late").UID)

	agent.Pending(0)
	f.waitFor("late", hibernated())
}

// TestRestartForChanges: a change of a fixed field is applied as soon as no job runs.
func TestRestartForChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("changed")
	agent.Saves(savedState(1, 0, 4))
	agent.Running("ƒA")
	f.createReady("changed", 2, archived(&v1alpha2.Hibernation{RestartForChanges: v1alpha2.RestartWhenIdle}))
	before := f.job("changed").UID
	f.patch("changed", map[string]any{"spec": map[string]any{"maxSize": 4, "tasks": 7}})
	f.waitFor("changed", has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonImmutableFields))
	assert.Equal(t, before, f.job("changed").UID)
	agent.Running()
	f.eventually("another Job", func(ctx context.Context) (string, error) {
		job, err := f.kube.BatchV1().Jobs(f.namespace).Get(ctx, "changed", metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && job.UID == before {
			return "not yet", nil
		}
		return "", err
	})
	f.setSize("changed", 4)
	f.waitFor("changed", f.ready(4), has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonFieldsWithoutEffect))
}

// TestRestoreFrom: a new MiniCluster waits until another one hibernates, and starts from its archive.
func TestRestoreFrom(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agents.Of("source").Saves(savedState(5, 0, 2))
	f.createReady("source", 1, archived(nil))
	f.create("copy", 2, func(mc *v1alpha2.MiniCluster) { mc.Spec.RestoreFrom = &v1alpha2.RestoreSource{Name: "source"} })
	f.waitFor("copy", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonWaiting, `until MiniCluster "source" hibernates`))
	f.setSuspend("source", true)
	f.waitFor("copy", f.ready(2))
	assert.Equal(t, archivePath, f.job("copy").Annotations[v1alpha2.AnnotationRestoreFrom])
	configMap, err := f.kube.CoreV1().ConfigMaps(f.namespace).Get(t.Context(), "copy-config", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Contains(t, configMap.Data["plan.json"], `"restoreFrom": "/state/archive.tar"`)
}

// TestRestartWhileHibernating: a restarted controller continues where the previous one stopped, with the same deadline.
func TestRestartWhileHibernating(t *testing.T) {
	// Not parallel: it stops the controller.
	f := newFixture(t)
	agent := agents.Of("handover")
	agent.Saves(savedState(3, 0, 2))
	agent.Running("ƒA")
	f.createReady("handover", 2, archived(nil))
	f.setSuspend("handover", true)
	deadline := f.waitFor("handover", has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonHibernating, "ƒA")).Status.Hibernation.Deadline
	running.halt(t)
	agent.Running()
	running.start(t)
	f.waitFor("handover", hibernated("3 pending jobs"))
	for _, request := range agent.Hibernations() {
		assert.True(t, deadline.Time.Equal(request.Deadline), "the deadline")
	}
	f.withoutJob("handover")

	// It does not take the missing Job for a lost one, also without the ConfigMap.
	running.halt(t)
	running.start(t)
	f.patch("handover", map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": map[string]any{"size": 1}})
	f.waitFor("handover", hibernated(), specSize(1))
	require.NoError(t, f.kube.CoreV1().ConfigMaps(f.namespace).Delete(t.Context(), "handover-config", metav1.DeleteOptions{}))
	f.patch("handover", map[string]any{"spec": map[string]any{"size": 2}})
	f.waitFor("handover", hibernated("3 pending jobs"), specSize(2))

	// The spec is edited while no controller runs.
	running.halt(t)
	f.setSuspend("handover", false)
	running.start(t)
	f.waitFor("handover", f.ready(2))
}
