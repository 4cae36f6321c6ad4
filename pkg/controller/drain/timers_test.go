package drain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// TestElapsedSurvivesAFailover: the elapsed time differs from the true one by less than 30 s, whatever the clock of the
// next controller says.
func TestElapsedSurvivesAFailover(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	key := types.NamespacedName{Namespace: "default", Name: "a"}
	const failover = 17 * time.Second
	for _, skew := range []time.Duration{0, time.Minute, -time.Minute, 24 * time.Hour, -24 * time.Hour} {
		for _, worked := range []time.Duration{0, 9 * time.Second, 119 * time.Second, time.Hour} {
			first := testclock.NewFakeClock(start)
			timers := NewTimers(first)
			drain := &v1alpha2.DrainStatus{Size: 2, Since: metav1.NewMicroTime(start)}
			for elapsed := time.Duration(0); elapsed < worked; elapsed += time.Second {
				first.Step(time.Second)
				Record(drain, timers.Elapsed(key, drain))
			}
			assert.Equal(t, worked, timers.Elapsed(key, drain), "the same process")

			second := testclock.NewFakeClock(start.Add(worked + failover + skew))
			timers = NewTimers(second)
			assert.InDelta(t, (worked + failover).Seconds(), timers.Elapsed(key, drain).Seconds(), 29, "worked %s, skew %s", worked, skew)
			before := timers.Elapsed(key, drain)
			second.Step(time.Minute)
			assert.Equal(t, before+time.Minute, timers.Elapsed(key, drain), "it continues")
		}
	}
}

// TestElapsedOfAnotherDrain: another size starts from zero.
func TestElapsedOfAnotherDrain(t *testing.T) {
	clock := testclock.NewFakeClock(time.Unix(1_000_000, 0))
	timers, key := NewTimers(clock), types.NamespacedName{Name: "a"}
	assert.Zero(t, timers.Elapsed(key, &v1alpha2.DrainStatus{Size: 2, Since: metav1.NewMicroTime(clock.Now())}))
	clock.Step(time.Minute)
	assert.Zero(t, timers.Elapsed(key, &v1alpha2.DrainStatus{Size: 1, Since: metav1.NewMicroTime(clock.Now())}))
	clock.Step(time.Second)
	timers.Forget(key)
	assert.Zero(t, timers.Elapsed(key, &v1alpha2.DrainStatus{Size: 1, Since: metav1.NewMicroTime(clock.Now())}))
}

func TestRecord(t *testing.T) {
	drain := &v1alpha2.DrainStatus{ElapsedSeconds: 5}
	Record(drain, 14*time.Second)
	assert.EqualValues(t, 5, drain.ElapsedSeconds)
	Record(drain, 15*time.Second)
	assert.EqualValues(t, 15, drain.ElapsedSeconds)
}
