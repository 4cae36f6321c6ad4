package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/sample"
)

// TestHibernationStatus follows one MiniCluster through a hibernation.
func TestHibernationStatus(t *testing.T) {
	mc := sample.MiniCluster()
	record := &resources.HibernationRecord{Job: "job-uid", Kept: true, Pending: 1, Held: 2, Location: "/a", Canceled: []string{"ƒA"}}
	for _, step := range []struct {
		name        string
		hibernation *Hibernation
		job         bool
		// want are the conditions Hibernated, Ready, Progressing and Suspended; event is the reason of the only event.
		want  [4]string
		event string
	}{
		{"runs", nil, true, [4]string{"", "True/Ready", "False/Stable", "False/NotSuspended"}, ""},
		{
			"stops", &Hibernation{Phase: HibernationStopping, Message: "1 job"}, true,
			[4]string{"False/Hibernating", "True/Ready", "True/Hibernating", "False/NotSuspended"}, "Hibernating",
		},
		{
			"stops, another message", &Hibernation{Phase: HibernationStopping, Message: "no job"}, true,
			[4]string{"False/Hibernating", "True/Ready", "True/Hibernating", "False/NotSuspended"}, "",
		},
		{
			"can't be saved", &Hibernation{Phase: HibernationStopping, Message: "full", Failed: true}, true,
			[4]string{"False/SaveFailed", "True/Ready", "True/Hibernating", "False/NotSuspended"}, "SaveFailed",
		},
		{
			"runs, because it can't be saved", &Hibernation{Phase: HibernationPostponed, Message: "full", Failed: true}, true,
			[4]string{"False/SaveFailed", "True/Ready", "False/Stable", "False/NotSuspended"}, "",
		},
		{
			"stopped", &Hibernation{Phase: HibernationStopped, Record: record, Status: record.Status()}, false,
			[4]string{"True/Hibernated", "True/Hibernated", "False/Hibernated", "True/Suspended"}, "Hibernated",
		},
		{
			"wakes", &Hibernation{Phase: HibernationWaking, Record: record, Status: record.Status()}, false,
			[4]string{"False/Waking", "False/NotReady", "True/NotReady", "False/NotSuspended"}, "Waking",
		},
		{"runs again", nil, true, [4]string{"False/Awake", "True/Ready", "False/Stable", "False/NotSuspended"}, "Awake"},
		{
			"keeps nothing", &Hibernation{Phase: HibernationStopped, Record: &resources.HibernationRecord{}, Discarded: true}, false,
			[4]string{"False/NothingKept", "True/Suspended", "False/Suspended", "True/Suspended"}, "NothingKept",
		},
		{
			"not started", &Hibernation{Phase: HibernationNotStarted, Cause: v1alpha2.CauseScaledToZero}, false,
			[4]string{"False/NotStarted", "True/Suspended", "False/Suspended", "True/Suspended"}, "",
		},
	} {
		in := makeInput(t, mc, 4)
		sample.RunningJob(4, 4)(in.Job)
		if !step.job {
			in.Job = nil
		}
		in.Hibernation = step.hibernation
		status, events := Compute(*in)
		for i, kind := range []string{v1alpha2.ConditionHibernated, v1alpha2.ConditionReady, v1alpha2.ConditionProgressing, v1alpha2.ConditionSuspended} {
			got := ""
			if c := meta.FindStatusCondition(status.Conditions, kind); c != nil {
				got = string(c.Status) + "/" + c.Reason
				assert.NotEmpty(t, c.Message)
			}
			assert.Equal(t, step.want[i], got, "%s: %s", step.name, kind)
		}
		var reasons []string
		for _, e := range events {
			reasons = append(reasons, e.Reason)
		}
		if step.event == "" {
			assert.Empty(t, reasons, step.name)
		} else {
			assert.Equal(t, []string{step.event}, reasons, step.name)
		}
		require.NotContains(t, genericOf(t, status), "Stalled", step.name)
		mc.Status = status
	}
}
