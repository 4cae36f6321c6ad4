package requests_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

const (
	// statusInterval is the minimal time between two writes of a status that change only the readiness.
	statusInterval = time.Second
	// silence is the time without requests before the requests are counted: longer than any delay of the controller.
	silence = 2500 * time.Millisecond
)

// counts are numbers of requests by cluster.Request.Key.
type counts map[string]int

const (
	statusWrite = "update miniclusters/status"
	eventWrite  = "create events"
)

type fixture struct {
	*user.Fixture
	// elsewhere has the MiniClusters of mark, and marks is their number.
	elsewhere *fixture
	marks     int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{Fixture: user.NewFixture(t, suite.Cluster(t))}
}

// create creates a MiniCluster. Its pods run but do not become ready by themselves, because the times would be
// random, and each change may be reported.
func (f *fixture) create(name string, size, maximum int32, mods ...func(*v1alpha2.MiniCluster)) {
	f.Helper()
	mods = append([]func(*v1alpha2.MiniCluster){user.MaxSize(maximum), func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationUnready: "true"}}
	}}, mods...)
	f.Create(name, size, mods...)
}

// settle waits until a MiniCluster has been created, and then until the controller has sent no request for a while.
func (f *fixture) settle(name string, size int32) {
	f.Helper()
	f.created(name, size)
	f.awaitSilence()
}

// created waits until a MiniCluster has been created, without ready pods, and the event about that has arrived.
func (f *fixture) created(name string, size int32) {
	f.Helper()
	f.reach(name, size, 0)
	f.WaitForEvent(name, "Created")
}

// reach waits until a MiniCluster's status has a size and its pods run: ranks that never ran are not drained.
func (f *fixture) reach(name string, size, ready int32) {
	f.Helper()
	f.WaitFor(name, user.Sizes(size, ready))
	f.WaitForPods(user.Selector(name), func(pods []corev1.Pod) bool {
		return len(slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning })) >= int(size)
	})
}

// has waits until the controller has sent at least these requests. On a busy machine they may follow later than the
// state that a test waits for.
func (f *fixture) has(log *cluster.AuditLog, want counts) {
	f.Helper()
	f.Eventually("the requests", func(context.Context) (string, error) {
		got := f.counted(log)
		for key, n := range want {
			if got[key] < n {
				return fmt.Sprintf("%d of %d %s", got[key], n, key), nil
			}
		}
		return "", nil
	})
}

// assertCounted waits until the controller has sent these requests, and checks that no other follows.
func (f *fixture) assertCounted(log *cluster.AuditLog, want counts, what string) {
	f.Helper()
	f.has(log, want)
	f.awaitSilence()
	assert.Equal(f, want, f.counted(log), what)
}

// assertDeletion is assertCounted for the deletion of a MiniCluster. A watch may show that the Job is gone before
// another one shows that the MiniCluster is. The controller then asks the API server about both, once.
func (f *fixture) assertDeletion(log *cluster.AuditLog, want counts) {
	f.Helper()
	f.has(log, want)
	f.awaitSilence()
	got := f.counted(log)
	if got["get jobs"] == 1 && got["list miniclusters"] == 1 {
		delete(got, "get jobs")
		delete(got, "list miniclusters")
	}
	assert.Equal(f, want, got, "delete")
}

// awaitSilence waits until the controller has sent no request in the test's namespace for a while, and none while a
// MiniCluster elsewhere got its pods. On a busy machine a change may take longer than the silence to reach the
// controller, but that MiniCluster waits in the same queues behind it: those of the Job controller, the scheduler, the
// nodes and the controller.
func (f *fixture) awaitSilence() {
	f.Helper()
	log := f.Audit()
	heard, since, marked := 0, time.Now(), false
	f.Eventually("the controller to be silent", func(context.Context) (string, error) {
		if n := len(f.asked(log)); n != heard {
			heard, since, marked = n, time.Now(), false
		}
		switch {
		case time.Since(since) < silence:
			return fmt.Sprintf("%d more requests", heard), nil
		case !marked:
			f.mark()
			marked = true
			return "requests during the mark", nil
		}
		return "", nil
	})
}

// mark creates a MiniCluster in another namespace and waits until its pods run.
func (f *fixture) mark() {
	f.Helper()
	if f.elsewhere == nil {
		f.elsewhere = newFixture(f.T)
	}
	f.marks++
	name := fmt.Sprintf("mark-%d", f.marks)
	f.elsewhere.create(name, 1, 1)
	f.elsewhere.created(name, 1)
}

// asked returns the controller's requests in the test's namespace. Its other requests must be leases, watches and,
// once, the version of the server, whichever test causes them.
func (f *fixture) asked(log *cluster.AuditLog) []cluster.Request {
	f.Helper()
	all, err := log.Requests(user.Controller)
	require.NoError(f, err)
	var here []cluster.Request
	for _, r := range all {
		switch r.Namespace {
		case f.Namespace:
			here = append(here, r)
		case "":
			if r.Resource == "persistentvolumes" && r.Verb != "watch" {
				// From the only test that has volumes, which runs alone.
				here = append(here, r)
			} else {
				assert.True(f, ofWatch(r), "%+v", r)
			}
		}
	}
	return here
}

// ofWatch reports whether a request is a watch, or belongs to one: the API server interrupts a watch that is slow, and
// the client then asks for the current version.
func ofWatch(r cluster.Request) bool {
	return r.Verb == "watch" || r.Path == "/version" || strings.HasSuffix(r.Path, "?limit=1")
}

// counted returns the controller's requests by kind.
func (f *fixture) counted(log *cluster.AuditLog) counts {
	f.Helper()
	result := counts{}
	for _, r := range f.asked(log) {
		gone := r.Key() == "get jobs" && r.Code == http.StatusNotFound // see assertDeletion
		assert.True(f, r.Code < 300 || gone, "%+v", r)
		result[r.Key()]++
	}
	return result
}

// assertPaced checks for each MiniCluster that its status was written at most once in an interval, except for the
// first writes that report something urgent.
func (f *fixture) assertPaced(log *cluster.AuditLog, urgent int) {
	f.Helper()
	writes := map[string][]time.Time{}
	for _, r := range f.asked(log) {
		if r.Key() == statusWrite {
			writes[r.Name] = append(writes[r.Name], r.Time)
		}
	}
	for name, times := range writes {
		for i := max(urgent, 1); i < len(times); i++ {
			assert.GreaterOrEqual(f, times[i].Sub(times[i-1]), statusInterval, "write %d of the status of %s", i+1, name)
		}
	}
}

// reads are the requests that the cache should make unnecessary.
func (c counts) reads() []string {
	var reads []string
	for key := range c {
		if strings.HasPrefix(key, "get ") || strings.HasPrefix(key, "list ") {
			reads = append(reads, key)
		}
	}
	return reads
}
