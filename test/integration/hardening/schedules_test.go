package hardening_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/faults"
)

var (
	randomSchedules = flag.Int("random-schedules", 6, "random schedules that TestRandomSchedules runs")
	scheduleSeed    = flag.Uint64("schedule-seed", 1, "seed of TestRandomSchedules")
)

// TestRandomSchedules creates, resizes and deletes a MiniCluster with random faults in requests, watches and the
// controller itself, and checks that the result is the same as without faults. The schedules are always the same
// ones, but their timing is not.
func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	for i := range *randomSchedules {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			takeTurn(t)
			s := &schedule{fixture: newFixture(t), random: rand.New(rand.NewPCG(*scheduleSeed, uint64(i)))}
			s.supervisor = s.supervise()
			defer func() {
				if t.Failed() {
					t.Logf("seed %d, schedule %d: %q", *scheduleSeed, i, s.steps)
				}
			}()
			for range 3 + s.random.IntN(5) {
				s.step()
			}
			s.converge()
		})
	}
}

// scheduled is the name of the MiniCluster, scheduledMax its maximum.
const (
	scheduled    = "chance"
	scheduledMax = 4
	// silence is how long no change must happen until everything has settled: longer than any delay of the controller or
	// the Job controller.
	silence = 2500 * time.Millisecond
)

type schedule struct {
	*fixture
	*supervisor
	random *rand.Rand
	// lives are the MiniClusters of the name, the last of which may exist.
	lives  []*v1alpha2.MiniCluster
	exists bool
	steps  []string
}

// step performs an action of the user and a fault, and sometimes waits for the result.
func (s *schedule) step() {
	m, k := modes[s.random.IntN(len(modes))], 1+s.random.IntN(5)
	disarm := s.arm(m, k)
	stop := func() {}
	switch s.random.IntN(4) {
	case 0:
		s.run.CutWatches(faults.Watches)
	case 1:
		s.run.Add(faults.Watches, 1, faults.Gone())
		s.run.CutWatches(faults.Watches)
	case 2:
		stop = s.run.DelayWatches(faults.Watches, time.Duration(s.random.IntN(300))*time.Millisecond)
	}
	did := s.act()
	if s.random.IntN(2) == 0 {
		s.rest()
	}
	stop()
	s.steps = append(s.steps, fmt.Sprintf("%s; write %d %s: %s", did, k, m.name, disarm()))
}

func (s *schedule) act() string {
	if !s.exists {
		size := 1 + s.random.Int32N(scheduledMax)
		s.begin(size)
		return fmt.Sprintf("create %d", size)
	}
	if s.random.IntN(5) == 0 {
		s.delete(scheduled)
		s.exists = false
		return "delete"
	}
	size := s.random.Int32N(scheduledMax + 3) // 0 and those above the maximum are rejected
	s.setSize(scheduled, size)
	return fmt.Sprintf("resize to %d", size)
}

func (s *schedule) begin(size int32) {
	s.lives = append(s.lives, s.create(scheduled, size, maxSize(scheduledMax)))
	s.exists = true
}

// rest waits until the controller has reacted.
func (s *schedule) rest() {
	if !s.exists {
		s.gone(s.lives[len(s.lives)-1])
		return
	}
	s.wait(s.T, "an answer", func() string {
		mc := get[*v1alpha2.MiniCluster](s.world, "MiniCluster", scheduled)
		if mc == nil || mc.Status.ObservedGeneration != mc.Generation {
			return describe(mc, nil)
		}
		return ""
	})
}

// converge ends all faults and checks the final state and the history.
func (s *schedule) converge() {
	if !s.exists {
		s.begin(1)
	}
	s.setSize(scheduled, 2)
	s.setSize(scheduled, 3)
	mc := s.settled(scheduled, 3, v1alpha2.ReasonWithinBounds)
	last := len(s.lives) - 1
	require.Equal(s, s.lives[last].UID, mc.UID)
	s.single(mc, "the last of its name")
	for _, before := range s.lives[:last] {
		s.gone(before)
		for _, kind := range []string{"Job", "Secret", "ConfigMap"} {
			// A sync that ran when the MiniCluster was deleted may have created one more; no later sync does.
			assert.LessOrEqual(s, len(s.uids(kind, before.UID)), 2, "%ss of a MiniCluster that was deleted", kind)
		}
	}
	for _, size := range s.sizes(scheduled) {
		assert.True(s, size >= 1 && size <= scheduledMax, "a Job had size %d", size)
	}
	assert.Len(s, s.certificates(mc.UID), 1, "certificates")
	s.checkFresh(mc)
}

// certificates returns the different certificates of a MiniCluster over time.
func (s *schedule) certificates(owner types.UID) map[string]bool {
	out := map[string]bool{}
	for _, c := range s.history() {
		if secret, ok := c.object.(*corev1.Secret); ok && metav1.IsControlledBy(secret, &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{UID: owner}}) {
			out[string(secret.Data["curve.cert"])] = true
		}
	}
	return out
}

// checkFresh checks that a new controller finds nothing to do, neither to create nor to report. With one worker it
// has synced the existing MiniClusters before it creates objects for a later one.
func (s *schedule) checkFresh(mc *v1alpha2.MiniCluster) {
	// The Job controller may lag behind: an event about a size that was requested twice may have been about the first
	// request. It has worked that off when a new Job has all its pods; what follows from it takes less time than the
	// silence.
	s.create("marker", 1, maxSize(scheduledMax))
	s.settled("marker", 1, v1alpha2.ReasonWithinBounds)
	s.eventually("silence", func() bool { return s.silent() > silence })
	s.run.stop()
	before := s.versions(mc)
	fresh := s.prepare()
	s.eventually("full caches", fresh.controller.Synced)
	fresh.begin(1)
	s.create("later", 1, maxSize(scheduledMax))
	s.settled("later", 1, v1alpha2.ReasonWithinBounds)
	assert.Equal(s, before, s.versions(mc), "what a fresh controller wrote")
}

// versions returns the versions of a MiniCluster and its objects in the API server. For the Job it is the generation,
// and the annotations, because other clients write its status.
func (s *schedule) versions(mc *v1alpha2.MiniCluster) map[string]string {
	s.Helper()
	ctx, o := s.Context(), metav1.GetOptions{}
	out := map[string]string{}
	note := func(kind string, object metav1.Object, err error) {
		require.NoError(s, err, kind)
		out[kind] = object.GetResourceVersion()
	}
	now, err := s.Clients.MiniClusters().Get(ctx, mc.Name, o)
	note("MiniCluster", now, err)
	secret, err := s.Kube.CoreV1().Secrets(s.Namespace).Get(ctx, resources.SecretName(mc), o)
	note("Secret", secret, err)
	conf, err := s.Kube.CoreV1().ConfigMaps(s.Namespace).Get(ctx, resources.ConfigMapName(mc), o)
	note("ConfigMap", conf, err)
	service, err := s.Kube.CoreV1().Services(s.Namespace).Get(ctx, mc.Name, o)
	note("Service", service, err)
	job, err := s.Kube.BatchV1().Jobs(s.Namespace).Get(ctx, resources.JobName(mc), o)
	require.NoError(s, err)
	out["Job"] = fmt.Sprint(job.Generation, job.Annotations)
	return out
}
