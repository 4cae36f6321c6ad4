package queues

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// TestElasticResize: with the annotation, an admitted cluster changes its size without losing a pod. What exceeds the
// quota waits with scheduling gates, and quota that a smaller size returns is available at once.
func TestElasticResize(t *testing.T) {
	f := newFixture(t)
	f.CreateReady("elastic", 2, queued("elastic-job=true"))
	uids := f.uids("elastic", 2)
	kept := func() {
		t.Helper()
		assert.Equal(t, uids, f.uids("elastic", 2), "pods 0 and 1 stay")
	}
	f.waitForQuota("2")
	watch := f.neverSuspends("elastic")

	f.SetSize("elastic", 4)
	f.WaitFor("elastic", f.Ready(4))
	f.waitForQuota("4")
	kept()

	f.SetSize("elastic", 8)
	f.waitForGated("elastic", 4, 4)
	f.WaitFor("elastic", user.SpecSize(8), user.Sizes(8, 4),
		user.Has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonUnschedulable, "scheduling gates (kueue.x-k8s.io/elastic-job)"))
	f.waitForQuota("4")
	kept()

	f.SetSize("elastic", 3)
	f.WaitFor("elastic", f.Ready(3))
	f.waitForQuota("3")
	kept()
	assert.Equal(t, []int64{3}, f.workloads())

	f.SetSize("elastic", 6)
	f.WaitFor("elastic", f.Ready(6))
	f.waitForQuota("6")
	kept()
	watch()
}

// TestElasticGrowthGetsQuota: pods that wait with gates start when another cluster returns quota.
func TestElasticGrowthGetsQuota(t *testing.T) {
	f := newFixture(t)
	f.CreateReady("one", 3, queued("elastic-job=true"))
	f.CreateReady("two", 2, queued("elastic-job=true"))
	one, two := f.uids("one", 1), f.uids("two", 2)
	f.SetSize("two", 5)
	f.waitForGated("two", 2, 3)
	f.SetSize("one", 1)
	f.WaitFor("two", f.Ready(5))
	f.waitForQuota("6")
	assert.Equal(t, one, f.uids("one", 1))
	assert.Equal(t, two, f.uids("two", 2))
}

// TestResizeWithoutElastic: without the annotation, Kueue would suspend the Job to admit another size, so the size is
// rejected and nothing is lost.
func TestResizeWithoutElastic(t *testing.T) {
	f := newFixture(t)
	f.CreateReady("fixed", 2, queued())
	uids := f.uids("fixed", 2)
	watch := f.neverSuspends("fixed")
	for _, size := range []int32{3, 1} {
		f.SetSize("fixed", size)
		f.WaitFor("fixed", user.SpecSize(2), f.Ready(2),
			user.Has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonNotElastic, "kueue.x-k8s.io/elastic-job"))
	}
	assert.Equal(t, uids, f.uids("fixed", 2))
	f.waitForQuota("2")
	watch()
}

// TestResizeWhileQueued: a cluster that waits for quota may change its size, and starts at the last one.
func TestResizeWhileQueued(t *testing.T) {
	for name, annotations := range map[string][]string{"plain": nil, "elastic": {"elastic-job=true"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.CreateReady("first", 5, queued(annotations...))
			f.Create("second", 2, queued(annotations...))
			f.WaitFor("second", user.Has(v1alpha2.ConditionSuspended, metav1.ConditionTrue, v1alpha2.ReasonSuspended))
			f.SetSize("second", 4)
			f.Eventually("another size of the Job", func(context.Context) (string, error) {
				if n := *f.Job("second").Spec.Parallelism; n != 4 {
					return "it is not changed", nil
				}
				return "", nil
			})
			assert.Empty(t, f.pods("second"))
			f.SetSize("second", 1)
			f.WaitFor("second", f.Ready(1))
			f.waitForQuota("6")
		})
	}
}

// TestPartialAdmission: Kueue may admit fewer pods than requested. The cluster keeps that size, whether it is elastic
// or not: Kueue refuses to resize a Job that it may admit in part.
func TestPartialAdmission(t *testing.T) {
	for name, annotations := range map[string][]string{"plain": nil, "elastic": {"elastic-job=true"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.Create("part", 8, queued(append(annotations, "job-min-parallelism=2", "job-completions-equal-parallelism=true")...))
			f.WaitFor("part", user.SpecSize(8), user.Sizes(6, 6),
				user.Has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonJobResizedExternally))
			f.waitForQuota("6")
			uids := f.uids("part", 6)
			f.SetSize("part", 4)
			f.WaitFor("part", user.SpecSize(6), user.Sizes(6, 6),
				user.Has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonNotElastic, "job-min-parallelism"))
			assert.Equal(t, uids, f.uids("part", 6))
		})
	}
}
