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
	// outageTime is how long the API server is away.
	outageTime = time.Minute
	// soon is how long Jobs may take to be right once somebody works on them. Clients
	// that grow impatient take up to a minute to notice that the server is back.
	soon = 20 * time.Second
	// tryRate is how often a controller may try to reach a server that is away, a
	// second; it has four watches.
	tryRate = 5
)

// newOutage makes a cluster for one of the tests in which the API server goes away for a
// minute, with wishes that are pending, and starts again. They are no subtests, so that
// they begin with the first tests: they take longest.
func newOutage(t *testing.T) *outage {
	t.Helper()
	return &outage{fixture: newFixtureOn(t, clustertest.Own(t, cluster.Options{Audit: true}, user.Manifests))}
}

type outage struct {
	*fixture
	mc    *v1alpha2.MiniCluster
	began time.Time
	audit *cluster.AuditLog // from the outage on
	// doomed is deleted right before the outage; doomedJobs are its Jobs until then.
	doomed     *v1alpha2.MiniCluster
	doomedJobs []types.UID
}

// A controller that needs no lease continues.
func TestOutageOfOne(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	one := runInProcessOn(t, o.Cluster, func(o *app.Options) { o.LeaderElection.LeaderElect = false })
	o.begin(one)
	o.last(one)
	o.end(soon, one)
}

// A leader can't renew its lease and ends: for all that it knows, somebody else leads. Its
// Deployment starts it again, and one of the two that wait then takes over.
func TestOutageOfLeader(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	defaults := func(*app.Options) {}
	leader := runInProcessOn(t, o.Cluster, defaults)
	o.eventually("a leader", func() bool { return somebody(holderNow(t.Context(), o.Cluster)) })
	standby := runInProcessOn(t, o.Cluster, defaults)
	o.begin(leader)
	require.ErrorContains(t, leader.ended(t), "lease was lost")
	leader.Kill() // a real process would be gone
	l := app.NewOptions().LeaderElection
	assert.Less(t, time.Since(o.began), l.LeaseDuration.Duration, "it has ended before the lease has")
	again := runInProcessOn(t, o.Cluster, defaults)
	o.last(standby, again)
	// The lease may have been renewed unseen just before the outage.
	o.end(l.LeaseDuration.Duration+3*l.RetryPeriod.Duration+soon, standby, again)
}

// begin lets wishes be pending and stops the API server.
func (o *outage) begin(working *inProcess) {
	o.Helper()
	o.create("outage", 2, maxSize(4))
	o.create("doomed", 1, maxSize(4))
	o.mc = o.settled("outage", 2, v1alpha2.ReasonWithinBounds)
	o.doomed = o.settled("doomed", 1, v1alpha2.ReasonWithinBounds)
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

// last waits for the end of the outage. Nobody may give up, and nobody may try too
// often.
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
	assert.Less(o, float64(tries), tryRate*took.Seconds()*float64(len(alive)), "tries to reach a server that is away")
}

// end brings the API server back. All wishes come true within a time, those from before
// and new ones, and no request is made in vain.
func (o *outage) end(within time.Duration, alive ...*inProcess) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 2*patience)
	defer cancel()
	require.NoError(o, o.Cluster.StartControlPlane(ctx))
	back := time.Now()
	require.NoError(o, o.Cluster.StartNodes())
	// A new server does not know how to go on with the old one's watches.
	o.world = followWorld(o.T, o.Clients)
	o.create("late", 1, maxSize(4))
	for name, size := range map[string]int32{"outage": 4, "fresh": 1, "late": 1} {
		o.wait(o.T, "the Job of "+name, func() string { return o.jobLacks(name, size) })
	}
	took := time.Since(back)
	o.Logf("the Jobs were right %s after the API server came back", took.Round(time.Millisecond))
	assert.Less(o, took, within)
	o.settled("outage", 4, v1alpha2.ReasonWithinBounds)
	fresh := o.settled("fresh", 1, v1alpha2.ReasonWithinBounds)
	late := o.settled("late", 1, v1alpha2.ReasonWithinBounds)
	o.Logf("all was right %s after the API server came back", time.Since(back).Round(time.Millisecond))
	o.single(o.mc, "through an outage")
	o.single(fresh, "asked for before an outage")
	o.single(late, "asked for after an outage")
	assert.Subset(o, o.doomedJobs, o.uids("Job", o.doomed.UID), "nothing is made for what was deleted")
	o.checkRequests(len(alive))
	for _, p := range alive {
		p.cancel()
		require.NoError(o, p.ended(o.T))
	}
}

// checkRequests checks what the controllers have asked the server for since it is back.
func (o *outage) checkRequests(controllers int) {
	o.Helper()
	asked, err := o.audit.Requests(user.Controller)
	require.NoError(o, err)
	all, done := map[string]int{}, map[string]int{}
	total := 0
	for _, r := range asked {
		all[r.Key()]++
		// A server that has just started may answer that it knows of no rights yet.
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

// jobLacks says what a Job lacks to be of a size.
func (o *outage) jobLacks(name string, size int32) string {
	job := get[*batchv1.Job](o.world, "Job", name)
	if job == nil || *job.Spec.Parallelism != size {
		return "it does not exist, or has another size"
	}
	return ""
}

// requests counts what controllers have asked for, or tried to.
func requests(of []*inProcess) int {
	n := 0
	for _, p := range of {
		for _, count := range p.Counts() {
			n += count
		}
	}
	return n
}

// The API server stops and starts again at once; what is changed right then is not lost.
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
	// A new server does not know how to go on with the old one's watches.
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
