package requests_test

import (
	"context"
	"fmt"
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
	// statusInterval is the least time between writes of a status that change nothing but readiness.
	statusInterval = time.Second
	// silence is how long nothing may be asked for before what was asked for is
	// counted: more than anything is put off for.
	silence = 2500 * time.Millisecond
)

// counts are requests by what they were, see cluster.Request.Key.
type counts map[string]int

const (
	statusWrite = "update miniclusters/status"
	eventWrite  = "create events"
)

type fixture struct{ *user.Fixture }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{user.NewFixture(t, suite.Cluster(t))}
}

// create makes a MiniCluster. Its pods run but don't become ready by themselves: when they
// do is chance, and each change of it may be reported.
func (f *fixture) create(name string, size, maximum int32, mods ...func(*v1alpha2.MiniCluster)) {
	f.Helper()
	mods = append([]func(*v1alpha2.MiniCluster){user.MaxSize(maximum), func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationUnready: "true"}}
	}}, mods...)
	f.Create(name, size, mods...)
}

// settle waits until a MiniCluster's status has a size, its pods run, since ranks
// that never ran are not drained, and then until the controller has been silent about
// it for a while.
func (f *fixture) settle(name string, size, ready int32) {
	f.Helper()
	f.WaitFor(name, user.Sizes(size, ready))
	f.WaitForPods(user.Selector(name), func(pods []corev1.Pod) bool {
		return len(slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning })) >= int(size)
	})
	f.awaitSilence()
}

// awaitSilence waits until the controller has asked for nothing in the test's
// namespace for a while.
func (f *fixture) awaitSilence() {
	f.Helper()
	log := f.Audit()
	heard, since := 0, time.Now()
	f.Eventually("the controller to be silent", func(context.Context) (string, error) {
		if n := len(f.asked(log)); n != heard {
			heard, since = n, time.Now()
		}
		if time.Since(since) < silence {
			return fmt.Sprintf("%d more requests", heard), nil
		}
		return "", nil
	})
}

// asked returns what the controller has asked for in the test's namespace. What it
// asked for elsewhere must be leases, watches and, once, the version of the server,
// whichever test is to blame.
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
			switch {
			case r.Resource == "persistentvolumes" && r.Verb != "watch":
				// Of the one test that has volumes, which no other is beside.
				here = append(here, r)
			case r.Path != "/version":
				assert.Equal(f, "watch", r.Verb, "%+v", r)
			}
		}
	}
	return here
}

// counted returns what the controller has asked for, by what it is.
func (f *fixture) counted(log *cluster.AuditLog) counts {
	f.Helper()
	result := counts{}
	for _, r := range f.asked(log) {
		assert.Less(f, r.Code, 300, "%+v", r)
		result[r.Key()]++
	}
	return result
}

// assertPaced checks, for each MiniCluster, that its status was written at most
// once in an interval, the first writes aside that report something urgent.
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

// reads are the requests that a full cache should save.
func (c counts) reads() []string {
	var reads []string
	for key := range c {
		if strings.HasPrefix(key, "get ") || strings.HasPrefix(key, "list ") {
			reads = append(reads, key)
		}
	}
	return reads
}
