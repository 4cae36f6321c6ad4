package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	testingclock "k8s.io/utils/clock/testing"
)

func TestRecoveries(t *testing.T) {
	type observation struct {
		after               time.Duration
		job                 types.UID
		size, active, ready int32
		wait                time.Duration
		recovered           bool
	}
	for name, observations := range map[string][]observation{
		"creation":    {{0, "a", 4, 0, 0, 0, false}, {0, "a", 4, 4, 2, 0, false}, {time.Hour, "a", 4, 4, 4, 0, false}},
		"growth":      {{0, "a", 2, 2, 2, 0, false}, {0, "a", 4, 2, 2, 0, false}, {time.Hour, "a", 4, 4, 4, 0, false}},
		"shrinking":   {{0, "a", 4, 4, 4, 0, false}, {0, "a", 2, 4, 4, 0, false}, {0, "a", 2, 2, 2, 0, false}},
		"a new Job":   {{0, "a", 4, 4, 4, 0, false}, {0, "b", 4, 0, 0, 0, false}, {time.Hour, "b", 4, 4, 4, 0, false}},
		"not ready":   {{0, "a", 4, 4, 4, 0, false}, {0, "a", 4, 4, 2, 0, false}, {time.Hour, "a", 4, 4, 4, 0, false}},
		"a rank lost": {{0, "a", 4, 4, 4, 0, false}, {0, "a", 4, 3, 3, 0, false}, {0, "a", 4, 4, 4, settleTime, false}, {settleTime, "a", 4, 4, 4, 0, true}},
		"too early": {
			{0, "a", 4, 4, 4, 0, false}, {0, "a", 4, 3, 3, 0, false}, {0, "a", 4, 4, 4, settleTime, false},
			{time.Second, "a", 4, 4, 4, settleTime - time.Second, false},
		},
		"lost once more": {
			{0, "a", 4, 4, 4, 0, false}, {0, "a", 4, 3, 3, 0, false}, {0, "a", 4, 4, 4, settleTime, false},
			{time.Second, "a", 4, 3, 3, 0, false}, {settleTime, "a", 4, 4, 4, settleTime, false}, {settleTime, "a", 4, 4, 4, 0, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testingclock.NewFakePassiveClock(time.Now())
			r, key := newRecoveries(clock), cache.NewObjectName("ns", "name")
			for i, o := range observations {
				clock.SetTime(clock.Now().Add(o.after))
				job := &batchv1.Job{
					ObjectMeta: metav1.ObjectMeta{UID: o.job},
					Spec:       batchv1.JobSpec{Parallelism: &o.size},
					Status:     batchv1.JobStatus{Active: o.active, Ready: &o.ready},
				}
				wait, recovered := r.observe(key, job)
				assert.Equal(t, o.wait, wait, i)
				assert.Equal(t, o.recovered, recovered, i)
			}
			r.done(key)
			r.forget(key)
			assert.Empty(t, r.of)
		})
	}
}
