package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// TestChangeOfDrains: the progress of a drain is written at most once a second.
func TestChangeOfDrains(t *testing.T) {
	before := v1alpha2.MiniClusterStatus{
		Size: 4, ReadySize: 4, MaximumSize: 4, Drain: &v1alpha2.DrainStatus{Size: 2, ElapsedSeconds: 10},
		Conditions: []metav1.Condition{{Type: v1alpha2.ConditionProgressing, Message: "draining"}, {Type: v1alpha2.ConditionAccepted}},
	}
	for name, test := range map[string]struct {
		edit func(*v1alpha2.MiniClusterStatus)
		want change
	}{
		"the message of a drain": {func(s *v1alpha2.MiniClusterStatus) { s.Conditions[0].Message = "another job" }, changeReadiness},
		"its elapsed time":       {func(s *v1alpha2.MiniClusterStatus) { s.Drain.ElapsedSeconds = 20 }, changeReadiness},
		"readiness":              {func(s *v1alpha2.MiniClusterStatus) { s.ReadySize = 3 }, changeReadiness},
		"another drain":          {func(s *v1alpha2.MiniClusterStatus) { s.Drain.Size = 1 }, changeOther},
		"the end of a drain":     {func(s *v1alpha2.MiniClusterStatus) { s.Drain = nil }, changeOther},
		"another condition":      {func(s *v1alpha2.MiniClusterStatus) { s.Conditions[1].Message = "no" }, changeOther},
	} {
		t.Run(name, func(t *testing.T) {
			after := *before.DeepCopy()
			test.edit(&after)
			assert.Equal(t, test.want, changeOf(before, after))
		})
	}
}

// TestReadyFollowsTheLead: the lead's readiness decides, and the number of ready pods only if it is unknown.
func TestReadyFollowsTheLead(t *testing.T) {
	for name, test := range map[string]struct {
		lead  *bool
		ready int32
		want  bool
	}{
		"unknown, quorum":       {nil, 4, true},
		"unknown, below quorum": {nil, 3, false},
		"the lead runs":         {new(true), 1, true},
		"the lead waits":        {new(false), 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Job: &batchv1.Job{Spec: batchv1.JobSpec{Parallelism: new(int32(4))}}, LeadReady: test.lead}
			assert.Equal(t, test.want, in.works(&v1alpha2.MiniClusterStatus{ReadySize: test.ready}))
		})
	}
}
