package hardening_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/faults"
)

// withProgram adds a program to a MiniCluster, which must not run twice.
func withProgram(mc *v1alpha2.MiniCluster) {
	mc.Spec.Interactive = false
	mc.Spec.Containers[0].Command = "charge"
}

// expireJob deletes a Job as soon as it has ended.
func (f *fixture) expireJob(name string) {
	f.Helper()
	_, err := f.Kube.BatchV1().Jobs(f.Namespace).Patch(f.Context(), name, types.MergePatchType,
		[]byte(`{"spec":{"ttlSecondsAfterFinished":0}}`), metav1.PatchOptions{})
	require.NoError(f, err)
}

func (f *fixture) deleteJob(name string) {
	f.Helper()
	require.NoError(f, f.Kube.BatchV1().Jobs(f.Namespace).Delete(f.Context(), name,
		metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
}

func (f *fixture) jobGone(name string) {
	f.Helper()
	f.wait(f.T, "the end of Job "+name, func() string {
		if job := get[*batchv1.Job](f.world, "Job", name); job != nil {
			return "it is there"
		}
		return ""
	})
}

// ended waits until a MiniCluster has ended with a reason, and checks that it had only one Job, even after another
// size was requested.
func (f *fixture) ended(name, condition, reason string) {
	f.Helper()
	waitForEnd := func() *v1alpha2.MiniCluster {
		var mc *v1alpha2.MiniCluster
		f.wait(f.T, name+" to end", func() string {
			mc = get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name)
			if is(&mc.Status, condition, metav1.ConditionTrue, reason) && mc.Status.ObservedGeneration == mc.Generation {
				return ""
			}
			return describe(mc, get[*batchv1.Job](f.world, "Job", name))
		})
		return mc
	}
	waitForEnd()
	f.setSize(name, 1)
	mc := waitForEnd()
	assert.Len(f, f.uids("Job", mc.UID), 1, "Jobs created")
}

// TestProgramRunsOnce deletes Jobs before their end is recorded: a program that may have run does not run again.
func TestProgramRunsOnce(t *testing.T) {
	t.Parallel()
	t.Run("expired without a controller", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		run := f.start(2)
		f.create("once", 3, maxSize(6), withProgram)
		f.settled("once", 3, v1alpha2.ReasonWithinBounds)
		run.stop()
		f.expireJob("once")
		f.succeed("once")
		f.jobGone("once")
		f.start(2)
		f.ended("once", v1alpha2.ConditionFailed, v1alpha2.ReasonJobDeleted)
		f.WaitForEvent("once", v1alpha2.ReasonJobDeleted, "recreate the MiniCluster")
	})
	t.Run("expired before the status was written", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		run := f.start(2)
		f.create("known", 2, maxSize(4), withProgram)
		f.settled("known", 2, v1alpha2.ReasonWithinBounds)
		release := make(chan struct{})
		run.Add(faults.Subresource("miniclusters", "status"), 1, faults.Hold(release))
		f.expireJob("known")
		f.succeed("known")
		f.jobGone("known")
		close(release)
		f.ended("known", v1alpha2.ConditionComplete, v1alpha2.ReasonComplete)
	})
	t.Run("deleted while it runs", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.start(2)
		f.create("cut", 2, maxSize(4), withProgram)
		f.settled("cut", 2, v1alpha2.ReasonWithinBounds)
		f.deleteJob("cut")
		f.ended("cut", v1alpha2.ConditionFailed, v1alpha2.ReasonJobDeleted)
		f.wait(t, "its condition", func() string {
			mc := get[*v1alpha2.MiniCluster](f.world, "MiniCluster", "cut")
			assert.False(t, meta.IsStatusConditionTrue(mc.Status.Conditions, v1alpha2.ConditionComplete))
			return ""
		})
	})
}

// TestJobIsMadeAgain deletes Jobs whose program has certainly not run: there is none, or the lead never started.
func TestJobIsMadeAgain(t *testing.T) {
	t.Parallel()
	t.Run("interactive", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		run := f.start(2)
		f.create("work", 2, maxSize(4))
		mc := f.settled("work", 2, v1alpha2.ReasonWithinBounds)
		run.stop()
		f.expireJob("work")
		f.succeed("work")
		f.jobGone("work")
		f.start(2)
		f.settled("work", 2, v1alpha2.ReasonWithinBounds)
		assert.Len(t, f.uids("Job", mc.UID), 2)
	})
	t.Run("never started", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.start(2)
		mc := f.create("waits", 2, maxSize(4), withProgram, func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationStartAfter: "1h"}}
		})
		hasPods := func(jobs int) {
			f.Helper()
			f.wait(t, "pods of the Job", func() string {
				mc := get[*v1alpha2.MiniCluster](f.world, "MiniCluster", "waits")
				job := get[*batchv1.Job](f.world, "Job", "waits")
				if mc == nil || job == nil || job.Status.Active != 2 || mc.Status.Size != 2 || mc.Status.JobID != string(job.UID) {
					return describe(mc, job)
				}
				return ""
			})
			assert.Len(t, f.uids("Job", mc.UID), jobs)
		}
		hasPods(1)
		before := get[*batchv1.Job](f.world, "Job", "waits").UID
		f.deleteJob("waits")
		f.wait(t, "another Job", func() string {
			if job := get[*batchv1.Job](f.world, "Job", "waits"); job == nil || job.UID == before {
				return describe(get[*v1alpha2.MiniCluster](f.world, "MiniCluster", "waits"), job)
			}
			return ""
		})
		hasPods(2)
	})
}
