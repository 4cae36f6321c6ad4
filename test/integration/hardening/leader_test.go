package hardening_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/faults"
)

// TestProcess runs the whole process of the controller. Such a controller watches all namespaces, so these tests have
// a separate cluster, and run one after the other.
func TestProcess(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"lease is released after the work", testLeaseIsGivenBackAfterTheWork},
		{"lost lease", testLostLease},
		{"stolen lease", testStolenLease},
		{"SIGTERM", testSIGTERM},
		{"stop before the caches are filled", testStopBeforeTheCachesAreFilled},
		{"leader is killed", testLeaderIsKilled},
		{"nothing secret is logged", testNothingSecretIsLogged},
		{"API server is restarted", testAPIServerIsRestarted},
	} {
		t.Run(tc.name, tc.run)
	}
}

// holder waits until a lease has a holder that satisfies a condition.
func holder(t *testing.T, is func(string) bool) string {
	t.Helper()
	var now string
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		now = holderNow(ctx, processes.Cluster(t))
		return is(now), nil
	})
	require.NoError(t, err, "the holder of the lease is %q", now)
	return now
}

func holderNow(ctx context.Context, kube *cluster.Cluster) string {
	l, err := kube.Client().CoordinationV1().Leases(leaseNamespace).Get(ctx, lease, metav1.GetOptions{})
	if err != nil || l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// freeLease resets the lease after an earlier test.
func freeLease(t *testing.T) {
	t.Helper()
	err := processes.Cluster(t).Client().CoordinationV1().Leases(leaseNamespace).Delete(t.Context(), lease, metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) {
		require.NoError(t, err)
	}
}

func somebody(id string) bool { return id != "" }

func otherThan(id string) func(string) bool {
	return func(now string) bool { return now != "" && now != id }
}

// A leader that is stopped finishes its work, and only then releases its lease to a standby, which continues at once.
func testLeaseIsGivenBackAfterTheWork(t *testing.T) {
	f := newFixtureOn(t, processes.Cluster(t))
	freeLease(t)
	leader := runInProcess(t)
	first := holder(t, somebody)
	standby := runInProcess(t)
	f.create("held", 2, maxSize(4))
	f.settled("held", 2, v1alpha2.ReasonWithinBounds)
	// It also watches namespaces, since it works in all of them.
	f.eventually("the standby's watches", func() bool { return standby.OpenWatches(faults.Watches) == watches+1 })
	warm := standby.Counts()

	gate := make(chan struct{})
	rule := leader.Add(faults.All(faults.Verb("patch"), faults.Resource("jobs")), 1, faults.Hold(gate))
	f.setSize("held", 4)
	<-rule.Fired()
	leader.cancel()
	// A renewal later it is still the leader: its work has not ended.
	renewals := leader.Add(faults.Resource("leases"), faults.Every, faults.Delay(0))
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true,
		func(context.Context) (bool, error) { return renewals.Seen() >= 3, nil }))
	assert.Equal(t, first, holderNow(t.Context(), processes.Cluster(t)))
	assert.Zero(t, standby.Counts()["patch jobs"])
	select {
	case <-leader.done:
		require.Fail(t, "the leader did not wait for its work")
	default:
	}

	close(gate)
	require.NoError(t, leader.ended(t))
	ended := time.Now()
	assert.Equal(t, 1, leader.Counts()["patch jobs"], "the work in progress was finished")
	holder(t, otherThan(first))
	t.Logf("the standby took over %s after the leader had ended", time.Since(ended).Round(time.Millisecond))
	mc := f.settled("held", 4, v1alpha2.ReasonWithinBounds)
	f.single(mc, "after the handover")
	assert.Equal(t, []int32{2, 4}, f.sizes("held"))
	for _, resource := range []string{"miniclusters", "jobs", "configmaps", "services", "pods", "namespaces"} {
		for _, request := range []string{"list " + resource, "watch " + resource} {
			assert.Equal(t, warm[request], standby.Counts()[request], "%s: the caches of a standby are filled", request)
		}
	}
	standby.cancel()
	require.NoError(t, standby.ended(t))
}

// A leader that cannot renew its lease ends before another process may become the leader, even if its requests do not
// return.
func testLostLease(t *testing.T) {
	freeLease(t)
	leader := runInProcess(t)
	first := holder(t, somebody)
	standby := runInProcess(t)
	never := make(chan struct{})
	rule := leader.Add(faults.Resource("leases"), faults.Every, faults.Hold(never))
	<-rule.Fired()
	began := time.Now()
	err := leader.ended(t)
	require.ErrorContains(t, err, "lease was lost")
	t.Logf("the leader ended %s after its last renewal began to hang", leader.end.Sub(began).Round(time.Millisecond))
	holder(t, otherThan(first))
	next, err := processes.Cluster(t).Client().CoordinationV1().Leases(leaseNamespace).Get(t.Context(), lease, metav1.GetOptions{})
	require.NoError(t, err)
	assert.True(t, leader.end.Before(next.Spec.AcquireTime.Time), "the leader ended at %s, and the next one began at %s", leader.end, next.Spec.AcquireTime)
	t.Logf("the standby led after %s", time.Since(began).Round(time.Millisecond))
	standby.cancel()
	require.NoError(t, standby.ended(t))
}

// A process whose lease another process took exits with an error.
func testStolenLease(t *testing.T) {
	freeLease(t)
	p := startProcess(t)
	p.says(t, `"Started"`)
	text, err := json.Marshal(map[string]any{"spec": coordinationv1.LeaseSpec{
		HolderIdentity: new("thief"), LeaseDurationSeconds: new(int32(60)), RenewTime: &metav1.MicroTime{Time: time.Now()},
	}})
	require.NoError(t, err)
	_, err = processes.Cluster(t).Client().CoordinationV1().Leases(leaseNamespace).
		Patch(t.Context(), lease, types.MergePatchType, text, metav1.PatchOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, p.ended(t))
	assert.Contains(t, p.logged(), "the lease was lost")
	assert.Equal(t, "thief", holderNow(t.Context(), processes.Cluster(t)))
}

// SIGTERM ends the process regularly in any state.
func testSIGTERM(t *testing.T) {
	freeLease(t)
	f := newFixtureOn(t, processes.Cluster(t))
	for _, tc := range []struct {
		moment string
		args   []string
	}{
		{moment: `"Starting"`},
		{moment: `"Serving"`},
		{moment: "Attempting to acquire"},
		{moment: `"Leader"`},
		{moment: `"Started"`, args: []string{"--workers=1"}},
		{moment: `"Starting"`, args: []string{"--leader-elect=false"}},
	} {
		p := startProcess(t, tc.args...)
		p.says(t, tc.moment)
		assert.Zero(t, p.terminate(t), "after it logged %s:\n%s", tc.moment, p.logged())
		assert.Empty(t, holderNow(t.Context(), processes.Cluster(t)), "the lease is released")
	}

	// During work.
	p := startProcess(t)
	p.says(t, `"Started"`)
	const n = 6
	for i := range n {
		f.create(fmt.Sprintf("mid-%d", i), 1, maxSize(4))
	}
	p.says(t, "Created the Job")
	assert.Zero(t, p.terminate(t), p.logged())
	p = startProcess(t)
	for i := range n {
		mc := f.settled(fmt.Sprintf("mid-%d", i), 1, v1alpha2.ReasonWithinBounds)
		f.single(mc, "created by two processes")
	}
	assert.Zero(t, p.terminate(t), p.logged())
}

// A process that is stopped before its caches are synced has nothing to finish.
func testStopBeforeTheCachesAreFilled(t *testing.T) {
	freeLease(t)
	p := runInProcess(t)
	release := p.HoldWatches(faults.Resource("jobs"))
	defer release()
	rule := p.Add(faults.All(faults.Verb("list"), faults.Resource("jobs")), faults.Every, faults.Hold(make(chan struct{})))
	defer rule.Remove()
	holder(t, somebody)
	p.cancel()
	require.NoError(t, p.ended(t))
	assert.Empty(t, holderNow(t.Context(), processes.Cluster(t)))
}

// A stop takes no longer than the sync in progress: the next controller processes the queue.
func TestStopLeavesTheQueue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const n = 20
	for i := range n {
		f.create(fmt.Sprintf("queued-%d", i), 1, maxSize(4))
	}
	run := f.prepare()
	gate := make(chan struct{})
	rule := run.Add(faults.Writes, 1, faults.Hold(gate))
	run.begin(1)
	<-rule.Fired()
	run.cancel()
	close(gate)
	<-run.done
	jobs := 0
	for key, count := range run.Counts() {
		if key == "create jobs" {
			jobs += count
		}
	}
	assert.LessOrEqual(t, jobs, 1, "syncs after the one in progress")
}

// The leader is killed during many resizes; the standby completes them all.
func testLeaderIsKilled(t *testing.T) {
	f := newFixtureOn(t, processes.Cluster(t))
	freeLease(t)
	const n = 50
	leader := startProcess(t)
	leader.says(t, `"Started"`)
	first := holder(t, somebody)
	standby := startProcess(t)
	standby.says(t, "Attempting to acquire")
	name := func(i int) string { return fmt.Sprintf("many-%d", i) }
	for i := range n {
		f.create(name(i), 1, maxSize(3))
	}
	for i := range n {
		f.settled(name(i), 1, v1alpha2.ReasonWithinBounds)
	}

	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, err := f.MiniClusters().Patch(t.Context(), name(i), types.MergePatchType, []byte(`{"spec":{"size":2}}`), metav1.PatchOptions{})
			assert.NoError(t, err)
		})
	}
	resized := func() int {
		count := 0
		for _, o := range f.now["Job"] {
			if job, ok := o.(*batchv1.Job); ok && *job.Spec.Parallelism == 2 {
				count++
			}
		}
		return count
	}
	f.wait(t, "some Jobs to be resized", func() string {
		if resized() == 0 {
			return "none is"
		}
		return ""
	})
	leader.signal(t, syscall.SIGKILL)
	killed := time.Now()
	assert.Equal(t, -1, leader.ended(t))
	wg.Wait()
	f.mu.Lock()
	done := resized()
	f.mu.Unlock()
	holder(t, otherThan(first))
	tookOver := time.Since(killed)
	f.wait(t, "all Jobs to be resized", func() string {
		if c := resized(); c < n {
			return fmt.Sprintf("%d are", c)
		}
		return ""
	})
	all := time.Since(killed)
	t.Logf("killed after %d of %d resizes; the standby led after %s and had resized all %s later", done, n,
		tookOver.Round(time.Millisecond), (all - tookOver).Round(time.Millisecond))
	// It checks the lease at intervals of up to 2.2 retry periods, both to see that it was renewed and that it has
	// expired. Both times allow for a busy machine: an idle one needs less than a lease duration for the resizes.
	assert.Less(t, tookOver, 3*leaseDuration+5*retryPeriod)
	assert.Less(t, all-tookOver, 10*leaseDuration, "from the takeover to the last resize")
	for i := range n {
		mc := f.settled(name(i), 2, v1alpha2.ReasonWithinBounds)
		f.single(mc, "resized by two leaders")
		assert.Equal(t, []int32{1, 2}, f.sizes(name(i)))
	}
	assert.Zero(t, standby.terminate(t), standby.logged())
}
