package hardening_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/faults"
)

// mode is a way in which a write fails.
type mode struct {
	name  string
	fault faults.Fault
	// kill: the controller is killed at this write, and another one is started.
	kill bool
	// brief omits the stages that add nothing for this mode.
	brief bool
}

var modes = []mode{
	{name: "failed before it was done", fault: faults.Fail()},
	{name: "failed after it was done", fault: faults.LoseResponse()},
	{name: "killed before it was done", fault: faults.Fail(), kill: true},
	{name: "killed after it was done", fault: faults.LoseResponse(), kill: true},
	{name: "done twice", fault: faults.Duplicate(), brief: true},
	{name: "conflict", fault: faults.Conflict(), brief: true},
	{name: "throttled", fault: faults.TooManyRequests(1), brief: true},
	{name: "internal error", fault: faults.Answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, "injected fault"), brief: true},
	{name: "unavailable", fault: faults.Answer(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "injected fault"), brief: true},
}

// maxWrites is far above the number of writes of any stage: it detects endless loops.
const maxWrites = 30

// stage is a part of a MiniCluster's life.
type stage struct {
	name string
	// shared: one MiniCluster is used for all k; otherwise each k gets a new one.
	shared bool
	// brief stages are part of all modes.
	brief bool
	// prepare runs before the counted writes.
	prepare func(f *fixture, name string)
	// act starts the tested action, check waits for its end.
	act   func(f *fixture, name string, k int)
	check func(f *fixture, name string, k int)
	// few is the minimal number of writes of this stage.
	few int
}

var stages = []stage{
	{name: "create", brief: true, act: createOne, check: checkCreated, few: 5},
	{name: "resize", brief: true, shared: true, prepare: prepareSize(2), act: resize, check: checkResized, few: 2},
	{name: "above", brief: true, shared: true, prepare: prepareSize(4), act: askAbove, check: checkDenied(4, v1alpha2.ReasonAboveMaximum), few: 2},
	{name: "below", shared: true, prepare: prepareSize(2), act: askBelow, check: checkDenied(2, v1alpha2.ReasonBelowMinimum), few: 2},
	{name: "shrink", prepare: prepareSize(3), act: shrink, check: checkShrunk, few: 3},
	{name: "finish", prepare: prepareSize(2), act: finish, check: checkFinished, few: 1},
	{name: "cleanup", prepare: prepareCleanup, act: finish, check: checkGone, few: 2},
	{name: "beside", act: createBeside, check: checkBeside, few: 11},
	{name: "release", prepare: prepareBeside, act: func(f *fixture, name string, _ int) { f.delete(name) }, check: checkReleased, few: 2},
	{name: "retire", prepare: prepareBeside, act: finish, check: checkRetired, few: 2},
	{name: "replace", prepare: prepareSize(1), act: replace, check: checkReplaced, few: 5},
	{name: "hibernate", prepare: prepareArchived, act: hibernate, check: checkHibernated, few: 4},
	{name: "wake", prepare: prepareHibernated, act: wake, check: checkWoken, few: 3},
	{name: "share", prepare: prepareShared, act: createSharing, check: checkShared, few: 5},
}

// Each write in a MiniCluster's life fails once, in each of the modes, and the final state is the same as without a
// fault.
func TestEveryWrite(t *testing.T) {
	t.Parallel()
	broken := &brokenWrites{kinds: map[string]bool{}}
	t.Run("stage", func(t *testing.T) {
		for _, m := range modes {
			for _, st := range stages {
				if m.brief && !st.brief {
					continue
				}
				t.Run(st.name+"/"+m.name, func(t *testing.T) {
					t.Parallel()
					everyWrite(t, m, st, broken)
				})
			}
			for _, w := range lateWrites {
				if m.brief {
					continue
				}
				t.Run(w.name+"/"+m.name, func(t *testing.T) {
					t.Parallel()
					breakLateWrite(t, m, w, broken)
				})
			}
		}
	})
	broken.assertComplete(t)
}

// brokenWrites are the kinds of writes that were broken.
type brokenWrites struct {
	mu    sync.Mutex
	kinds map[string]bool
}

func (b *brokenWrites) add(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kinds[kind] = true
}

// neverDone are rights that the API server requires when an object gets an owner.
var neverDone = []string{"delete configmaps", "delete secrets", "delete services", "update miniclusters/finalizers"}

// elsewhere are writes that no stage makes: those of autoscalers are only for spec.autoscaling, and only a Secret that
// was restored without its owners is patched.
var elsewhere = []string{
	"create horizontalpodautoscalers", "patch horizontalpodautoscalers", "delete horizontalpodautoscalers", "patch secrets",
}

// assertComplete checks that each kind of write that the roles of the controller permit was part of the test. It does
// nothing if only some stages ran.
func (b *brokenWrites) assertComplete(t *testing.T) {
	t.Helper()
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") || t.Failed() {
		return
	}
	roles, err := suite.Cluster(t).Client().RbacV1().ClusterRoles().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var allowed []string
	for _, role := range roles.Items {
		if !strings.HasPrefix(role.Name, "minicluster-controller") {
			continue
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					name, subresource, _ := strings.Cut(resource, "/")
					if r := (faults.Request{Verb: verb, Resource: name, Subresource: subresource}); faults.Writes(r) {
						allowed = append(allowed, r.String())
					}
				}
			}
		}
	}
	broken := slices.Collect(maps.Keys(b.kinds))
	assert.Subset(t, slices.Concat(broken, neverDone, elsewhere), allowed, "kinds of writes")
}

func everyWrite(t *testing.T, m mode, st stage, broken *brokenWrites) {
	takeTurn(t)
	f := newFixture(t)
	s := f.supervise()
	for k := 1; ; k++ {
		require.Less(t, k, maxWrites, "the writes never end")
		name := st.name
		if !st.shared {
			name = fmt.Sprintf("%s-%d", st.name, k)
		}
		if st.prepare != nil && (k == 1 || !st.shared) {
			st.prepare(f, name)
		}
		disarm := s.arm(m, k)
		st.act(f, name, k)
		st.check(f, name, k)
		hit := disarm()
		if t.Failed() {
			t.Fatalf("write %d (%s) %s", k, hit, m.name)
		}
		if hit != "" {
			broken.add(hit)
		} else {
			assert.GreaterOrEqual(t, k-1, st.few, "writes")
			t.Logf("%d writes", k-1)
			return
		}
	}
}

func createOne(f *fixture, name string, _ int) { f.create(name, 2, maxSize(4)) }

func checkCreated(f *fixture, name string, _ int) {
	mc := f.settled(name, 2, v1alpha2.ReasonWithinBounds)
	f.single(mc, "created")
	assert.Equal(f, []int32{2}, f.sizes(name))
}

func prepareSize(size int32) func(*fixture, string) {
	return func(f *fixture, name string) {
		f.create(name, size, maxSize(4))
		f.settled(name, size, v1alpha2.ReasonWithinBounds)
	}
}

// resize alternates between 2 and 4.
func resize(f *fixture, name string, k int) { f.setSize(name, resized(k)) }

func resized(k int) int32 {
	if k%2 == 1 {
		return 4
	}
	return 2
}

func checkResized(f *fixture, name string, k int) {
	mc := f.settled(name, resized(k), v1alpha2.ReasonWithinBounds)
	f.single(mc, "resized")
	sizes := []int32{2}
	for n := 1; n <= k; n++ {
		sizes = append(sizes, resized(n))
	}
	assert.Equal(f, sizes, f.sizes(name))
}

func askAbove(f *fixture, name string, k int) { f.setSize(name, int32(4+k)) }

func askBelow(f *fixture, name string, _ int) { f.setSize(name, 0) }

func checkDenied(size int32, reason string) func(*fixture, string, int) {
	return func(f *fixture, name string, _ int) {
		mc := f.settled(name, size, reason)
		f.single(mc, reason)
		assert.Equal(f, []int32{size}, f.sizes(name))
	}
}

func shrink(f *fixture, name string, _ int) { f.setSize(name, 1) }

// checkShrunk also checks that the quorum is lowered before the Job is.
func checkShrunk(f *fixture, name string, _ int) {
	mc := f.settled(name, 1, v1alpha2.ReasonWithinBounds)
	f.single(mc, "shrunk")
	assert.Equal(f, []int32{3, 1}, f.sizes(name))
	lowered := f.first(f.T, "a lower quorum", func(o metav1.Object) bool { return o.GetName() == name+"-config" && quorumOf(o) == "1" })
	shrunk := f.first(f.T, "a smaller Job", func(o metav1.Object) bool {
		job, ok := o.(*batchv1.Job)
		return ok && job.Name == name && *job.Spec.Parallelism == 1
	})
	assert.Less(f, lowered.version, shrunk.version, "the quorum is lowered first")
}

func finish(f *fixture, name string, _ int) { f.succeed(name) }

func checkFinished(f *fixture, name string, _ int) {
	var mc *v1alpha2.MiniCluster
	f.wait(f.T, name+" to be complete", func() string {
		mc = get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name)
		s := &mc.Status
		if is(s, v1alpha2.ConditionComplete, metav1.ConditionTrue, v1alpha2.ReasonComplete) &&
			is(s, v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonComplete) &&
			s.Size == 0 && s.ReadySize == 0 && s.ObservedGeneration == mc.Generation {
			return ""
		}
		return describe(mc, nil)
	})
	f.single(mc, "finished")
	assert.Equal(f, []int32{2}, f.sizes(name))
}

func prepareCleanup(f *fixture, name string) {
	f.create(name, 2, maxSize(4), func(mc *v1alpha2.MiniCluster) { mc.Spec.Cleanup = true })
	f.settled(name, 2, v1alpha2.ReasonWithinBounds)
}

func checkGone(f *fixture, name string, _ int) {
	mc := f.firstOf(name)
	f.gone(mc)
	f.single(mc, "cleaned up")
	assert.Equal(f, []int32{2}, f.sizes(name))
}

// firstOf returns the first MiniCluster of a name.
func (f *fixture) firstOf(name string) *v1alpha2.MiniCluster {
	f.Helper()
	for _, c := range f.history() {
		if mc, ok := c.object.(*v1alpha2.MiniCluster); ok && mc.Name == name {
			return mc
		}
	}
	require.Fail(f, "no MiniCluster", name)
	return nil
}

// replace deletes a MiniCluster and creates another one of the same name at once.
func replace(f *fixture, name string, _ int) {
	f.delete(name)
	f.create(name, 3, maxSize(4))
}

func checkReplaced(f *fixture, name string, _ int) {
	before := f.firstOf(name)
	after := f.settled(name, 3, v1alpha2.ReasonWithinBounds)
	require.NotEqual(f, before.UID, after.UID)
	f.gone(before)
	f.single(before, "before it was replaced")
	f.single(after, "the replacement")
	assert.Equal(f, []int32{1, 3}, f.sizes(name))
	assert.NotEqual(f, f.certificate(before), f.certificate(after))
}

// certificate returns the certificate of a MiniCluster.
func (f *fixture) certificate(mc *v1alpha2.MiniCluster) string {
	f.Helper()
	var certificate string
	f.first(f.T, "the Secret of "+mc.Name, func(o metav1.Object) bool {
		secret, ok := o.(*corev1.Secret)
		if ok = ok && owned(secret, mc); ok {
			certificate = string(secret.Data["curve.cert"])
		}
		return ok
	})
	return certificate
}

func inService(service string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Network = &v1alpha2.Network{HeadlessName: service} }
}

func prepareShared(f *fixture, name string) {
	f.create(name+"-first", 1, inService("of-"+name))
	f.waitForOwners("of-"+name, 1)
}

func createSharing(f *fixture, name string, _ int) { f.create(name, 1, inService("of-"+name)) }

func checkShared(f *fixture, name string, _ int) {
	f.waitForOwners("of-"+name, 2)
	f.WaitFor(name, f.Ready(1))
}

// waitForOwners waits until a Service has a number of owners.
func (f *fixture) waitForOwners(service string, owners int) {
	f.Helper()
	f.wait(f.T, "the owners of Service "+service, func() string {
		s := get[*corev1.Service](f.world, "Service", service)
		if s == nil || len(s.OwnerReferences) != owners {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
}
