package hardening_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/faults"
)

// life applies all possible changes of size to a MiniCluster, and checks each step and its history.
func (f *fixture) life(name string, between func()) {
	f.Helper()
	f.create(name, 2, maxSize(4))
	mc := f.settled(name, 2, v1alpha2.ReasonWithinBounds)
	for _, step := range []struct {
		ask, get int32
		reason   string
	}{
		{4, 4, v1alpha2.ReasonWithinBounds},
		{9, 4, v1alpha2.ReasonAboveMaximum},
		{1, 1, v1alpha2.ReasonWithinBounds},
		{0, 1, v1alpha2.ReasonBelowMinimum},
		{3, 3, v1alpha2.ReasonWithinBounds},
	} {
		between()
		f.setSize(name, step.ask)
		f.settled(name, step.get, step.reason)
	}
	f.single(mc, "through its life")
	assert.Equal(f, []int32{2, 4, 1, 3}, f.sizes(name))
	f.succeed(name)
	checkEnded(f, mc)
}

func checkEnded(f *fixture, mc *v1alpha2.MiniCluster) {
	f.wait(f.T, mc.Name+" to be complete", func() string {
		now := get[*v1alpha2.MiniCluster](f.world, "MiniCluster", mc.Name)
		if is(&now.Status, v1alpha2.ConditionComplete, metav1.ConditionTrue, v1alpha2.ReasonComplete) && now.Status.Size == 0 {
			return ""
		}
		return describe(now, nil)
	})
}

// sizesReported returns the sizes in the status over time, each change once.
func (f *fixture) sizesReported(name string) []int32 {
	var out []int32
	for _, c := range f.history() {
		if mc, ok := c.object.(*v1alpha2.MiniCluster); ok && mc.Name == name && mc.Status.ObservedGeneration > 0 {
			if len(out) == 0 || out[len(out)-1] != mc.Status.Size {
				out = append(out, mc.Status.Size)
			}
		}
	}
	return out
}

// Whichever cache is stale, nothing is done twice and no old size is reported.
func TestLateWatches(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]faults.Match{
		"Jobs":         faults.Resource("jobs"),
		"MiniClusters": faults.Resource("miniclusters"),
		"ConfigMaps":   faults.Resource("configmaps", "services"),
		"everything":   faults.Watches,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			run := f.start(2)
			stop := run.DelayWatches(match, 400*time.Millisecond)
			defer stop()
			f.life("late", func() {})
			assert.Equal(t, 1, run.Counts()["create jobs"])
			assert.Equal(t, 1, run.Counts()["create secrets"])
			assert.Equal(t, 3, run.Counts()["patch jobs"], "one for each size that was granted")
			for i, size := range f.sizesReported("late") {
				assert.LessOrEqual(t, size, int32(4), "report %d", i)
			}
		})
	}
}

// Watches that end, or that cannot be resumed, lose nothing.
func TestBrokenWatches(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faults.Fault{
		"closed":  nil,
		"expired": faults.Gone(),
		"refused": faults.Answer(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "injected fault"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			run := f.start(2)
			cut := 0
			f.life("broken", func() {
				if fault != nil {
					run.Add(faults.Watches, 1, fault)
				}
				cut += run.CutWatches(faults.Watches)
			})
			assert.Positive(t, cut)
		})
	}
}

// A new leader whose cache of MiniClusters is older than that of Jobs does not restore an old size.
func TestNewLeaderWithAnOldCache(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	leader := f.start(2)
	f.create("old", 2, maxSize(4))
	f.settled("old", 2, v1alpha2.ReasonWithinBounds)
	standby := f.prepare()
	require.Eventually(t, standby.controller.Synced, patience, 5*time.Millisecond)
	release := standby.HoldWatches(faults.Resource("miniclusters"))
	f.setSize("old", 4)
	f.settled("old", 4, v1alpha2.ReasonWithinBounds)
	leader.crash()
	// Its first write comes too early, unless it waits.
	time.AfterFunc(2*time.Second, release)
	standby.begin(2)
	f.setSize("old", 3)
	mc := f.settled("old", 3, v1alpha2.ReasonWithinBounds)
	f.single(mc, "two leaders")
	assert.Equal(t, []int32{2, 4, 3}, f.sizes("old"))
}

// When a MiniCluster is replaced by another one of the same name while watches are broken, the controller repairs the
// objects afterwards.
func TestReplacedWhileWatchesAreDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.start(2)
	f.create("again", 2, maxSize(4))
	before := f.settled("again", 2, v1alpha2.ReasonWithinBounds)
	down := run.Add(faults.Verb("watch", "list"), faults.Every, faults.Fail())
	require.Equal(t, watches, run.CutWatches(faults.Watches))
	f.delete("again")
	f.gone(before)
	f.create("again", 3, maxSize(4))
	down.Remove()
	after := f.settled("again", 3, v1alpha2.ReasonWithinBounds)
	require.NotEqual(t, before.UID, after.UID)
	f.single(before, "before")
	f.single(after, "after")
	assert.NotEqual(t, f.certificate(before), f.certificate(after))
	assert.Equal(t, []int32{2, 3}, f.sizes("again"))
}

// Objects that are deleted while watches are broken are created again.
func TestChildrenDeletedWhileWatchesAreDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.start(2)
	f.create("orphan", 2, maxSize(4))
	mc := f.settled("orphan", 2, v1alpha2.ReasonWithinBounds)
	down := run.Add(faults.Verb("watch", "list"), faults.Every, faults.Fail())
	run.CutWatches(faults.Watches)
	require.NoError(t, f.Kube.CoreV1().Services(f.Namespace).Delete(t.Context(), "orphan", metav1.DeleteOptions{}))
	require.NoError(t, f.Kube.BatchV1().Jobs(f.Namespace).Delete(t.Context(), "orphan", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	f.wait(t, "the Job and the Service to be gone", func() string {
		if get[*batchv1.Job](f.world, "Job", "orphan") != nil || get[*corev1.Service](f.world, "Service", "orphan") != nil {
			return "one is there"
		}
		return ""
	})
	down.Remove()
	f.settled("orphan", 2, v1alpha2.ReasonWithinBounds)
	f.created("Secret", mc, 1, "the certificate does not change")
	f.created("Job", mc, 2, "created again")
	f.created("Service", mc, 2, "created again")
}

// A persistent error is retried at growing intervals, even if its text varies. Events of new objects, and the status
// that is written a second later, shorten the first intervals.
func TestErrorsBackOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.start(1)
	var (
		mu      sync.Mutex
		last    time.Time
		tries   int
		longest time.Duration
	)
	rule := run.Add(faults.All(faults.Verb("create"), faults.Resource("jobs")), faults.Every,
		faults.AnswerWith(http.StatusInternalServerError, metav1.StatusReasonInternalError, func() string {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			if tries > 0 {
				longest = max(longest, now.Sub(last))
			}
			tries, last = tries+1, now
			return "injected fault at " + now.String()
		}))
	f.create("failing", 2, maxSize(4))
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return longest >= 2*time.Second
	}, patience, 10*time.Millisecond, "a pause of two seconds")
	rule.Remove()
	f.settled("failing", 2, v1alpha2.ReasonWithinBounds)
	t.Logf("%d tries", tries)
	assert.LessOrEqual(t, tries, 15, "until there was such a pause")
}
