package hardening_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/faults"
	"minicluster.internal/operator/test/framework/user"
)

const (
	// outageTime is how long the API server is unavailable.
	outageTime = time.Minute
	// soon is the timeout for Jobs to be correct once a controller works. Clients with a long back-off take up to a
	// minute to notice that the server is back.
	soon = 30 * time.Second
	// tryRate is the maximal number of attempts per second of a controller to reach an unavailable server: about one for
	// each of its seven watches.
	tryRate = 8
)

// newOutage creates a cluster for a test in which the API server is unavailable for a minute, with pending changes,
// and starts again. These tests are not subtests, so that they begin with the first tests: they take longest.
func newOutage(t *testing.T) *outage {
	t.Helper()
	return &outage{fixture: newFixtureOn(t, clustertest.Own(t, cluster.Options{Audit: true}, user.Manifests))}
}

type outage struct {
	*fixture
	mc    *v1alpha2.MiniCluster
	began time.Time
	// usual is how long Jobs took before the outage.
	usual time.Duration
	audit *cluster.AuditLog // from the outage on
	// doomed is deleted right before the outage; doomedJobs are its Jobs until then.
	doomed     *v1alpha2.MiniCluster
	doomedJobs []types.UID
}

// A controller without a lease continues.
func TestOutageOfOne(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	one := runInProcessOn(t, o.Cluster, func(o *app.Options) { o.LeaderElection.LeaderElect = false })
	o.begin(one)
	o.last(one)
	o.end(soon, one)
}

// A leader that cannot renew its lease ends, since another process may be the leader. Its Deployment restarts it, and
// one of the two standbys then takes over.
func TestOutageOfLeader(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	// Longer than the default: a busy machine takes seconds to end a process.
	const leaseDuration = 30 * time.Second
	election := func(o *app.Options) {
		l := app.NewOptions().LeaderElection
		o.LeaderElection.LeaseDuration.Duration, o.LeaderElection.RenewDeadline = leaseDuration, l.RenewDeadline
	}
	leader := runInProcessOn(t, o.Cluster, election)
	o.eventually("a leader", func() bool { return somebody(holderNow(t.Context(), o.Cluster)) })
	standby := runInProcessOn(t, o.Cluster, election)
	o.begin(leader)
	require.ErrorContains(t, leader.ended(t), "lease was lost")
	leader.Kill() // a real process would have ended
	l := app.NewOptions().LeaderElection
	assert.Less(t, leader.end.Sub(o.began), leaseDuration, "it has ended before the lease expires")
	again := runInProcessOn(t, o.Cluster, election)
	o.last(standby, again)
	// The lease may have been renewed unnoticed just before the outage.
	o.end(leaseDuration+3*l.RetryPeriod.Duration+soon, standby, again)
}

// begin makes changes that stay pending, and stops the API server.
func (o *outage) begin(working *inProcess) {
	o.Helper()
	created := time.Now()
	o.create("outage", 2, maxSize(4))
	o.create("doomed", 1, maxSize(4))
	o.mc = o.settled("outage", 2, v1alpha2.ReasonWithinBounds)
	o.doomed = o.settled("doomed", 1, v1alpha2.ReasonWithinBounds)
	o.usual = time.Since(created)
	o.doomedJobs = o.uids("Job", o.doomed.UID)
	rule := working.Add(faults.Writes, faults.Every, faults.Fail())
	o.setSize("outage", 4)
	o.create("fresh", 1, maxSize(4))
	o.eventually("wishes that wait", func() bool { return rule.Seen() >= 4 })
	o.mayBreak.Store(true)
	o.delete("doomed")
	require.NoError(o, o.Cluster.StopControlPlane())
	require.NoError(o, o.Cluster.StopNodes())
	o.began = time.Now()
	rule.Remove()
	var err error
	o.audit, err = o.Cluster.Audit()
	require.NoError(o, err)
}

// last waits for the end of the outage. No controller may end, and none may retry too often.
func (o *outage) last(alive ...*inProcess) {
	o.Helper()
	over := time.NewTimer(time.Until(o.began.Add(outageTime)))
	defer over.Stop()
	before := requests(alive)
	began := time.Now()
	ended := make(chan error, len(alive))
	for _, p := range alive {
		go func() {
			<-p.done
			ended <- p.err
		}()
	}
	select {
	case err := <-ended:
		require.Fail(o, "a controller ended", err)
	case <-over.C:
	}
	tries, took := requests(alive)-before, time.Since(began)
	o.Logf("%d tries of %d controllers in %s", tries, len(alive), took.Round(time.Second))
	assert.Less(o, float64(tries), tryRate*took.Seconds()*float64(len(alive)), "attempts to reach an unavailable server")
}

// end starts the API server again. All changes are applied within a time, those from before and new ones, and no
// unnecessary request is sent.
func (o *outage) end(within time.Duration, alive ...*inProcess) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 2*patience)
	defer cancel()
	require.NoError(o, o.Cluster.StartControlPlane(ctx))
	back := time.Now()
	require.NoError(o, o.Cluster.StartNodes())
	// A new server cannot continue the watches of the old one.
	o.world = followWorld(o.T, o.Clients)
	o.create("late", 1, maxSize(4))
	for name, size := range map[string]int32{"outage": 4, "fresh": 1, "late": 1} {
		o.wait(o.T, "the Job of "+name, func() string { return o.jobLacks(name, size) })
	}
	took := time.Since(back)
	o.Logf("the Jobs were right %s after the API server came back", took.Round(time.Millisecond))
	o.settled("outage", 4, v1alpha2.ReasonWithinBounds)
	fresh := o.settled("fresh", 1, v1alpha2.ReasonWithinBounds)
	late := o.settled("late", 1, v1alpha2.ReasonWithinBounds)
	o.Logf("all was right %s after the API server came back", time.Since(back).Round(time.Millisecond))
	o.single(o.mc, "through an outage")
	o.single(fresh, "asked for before an outage")
	o.single(late, "asked for after an outage")
	assert.Subset(o, o.doomedJobs, o.uids("Job", o.doomed.UID), "no object is created for a deleted MiniCluster")
	o.checkRequests(len(alive))
	// The machine may be busier than before the outage.
	created := time.Now()
	o.create("after", 2, maxSize(4))
	o.settled("after", 2, v1alpha2.ReasonWithinBounds)
	usual := max(o.usual, time.Since(created))
	assert.Less(o, took, within+5*usual, "it takes %s without an outage", usual)
	for _, p := range alive {
		p.cancel()
		require.NoError(o, p.ended(o.T))
	}
}

// checkRequests checks the requests of the controllers since the server is back.
func (o *outage) checkRequests(controllers int) {
	o.Helper()
	asked, err := o.audit.Requests(user.Controller)
	require.NoError(o, err)
	all, done := map[string]int{}, map[string]int{}
	total := 0
	for _, r := range asked {
		all[r.Key()]++
		// A server that has just started may not have loaded any rights yet.
		if r.Code < http.StatusBadRequest {
			done[r.Key()]++
		}
		if r.Resource != "leases" {
			total++
		}
	}
	o.Logf("requests: %v", all)
	for request, want := range map[string]int{
		"patch jobs": 1, "create jobs": 2, "create secrets": 2, "create configmaps": 2, "create services": 2,
	} {
		assert.Equal(o, want, done[request], request)
	}
	assert.Less(o, total, 40+20*controllers, "requests: %v", all)
}

// jobLacks returns why a Job does not have a size.
func (o *outage) jobLacks(name string, size int32) string {
	job := get[*batchv1.Job](o.world, "Job", name)
	if job == nil || *job.Spec.Parallelism != size {
		return "it does not exist, or has another size"
	}
	return ""
}

// requests counts requests of controllers, including attempts.
func requests(of []*inProcess) int {
	n := 0
	for _, p := range of {
		for _, count := range p.Counts() {
			n += count
		}
	}
	return n
}

// The API server stops and starts again at once; concurrent changes are not lost.
func testAPIServerIsRestarted(t *testing.T) {
	f := newFixtureOn(t, processes.Cluster(t))
	run := f.start(4)
	f.create("outage", 2, maxSize(4))
	f.create("doomed", 1, maxSize(4))
	mc := f.settled("outage", 2, v1alpha2.ReasonWithinBounds)
	doomed := f.settled("doomed", 1, v1alpha2.ReasonWithinBounds)
	f.mayBreak.Store(true)
	require.NoError(t, f.Cluster.StopControlPlane())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, f.Cluster.StartControlPlane(ctx))
	back := time.Now()
	// A new server cannot continue the watches of the old one.
	f.world = followWorld(t, f.Clients)
	f.setSize("outage", 4)
	f.delete("doomed")
	f.create("fresh", 1, maxSize(4))
	f.settled("outage", 4, v1alpha2.ReasonWithinBounds)
	fresh := f.settled("fresh", 1, v1alpha2.ReasonWithinBounds)
	t.Logf("all was right %s after the API server came back", time.Since(back).Round(time.Millisecond))
	f.gone(doomed)
	f.single(mc, "through an outage")
	f.single(fresh, "right after an outage")
	assert.Equal(t, []int32{2, 4}, f.sizes("outage"))
	run.stop()
}
