package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// TestGenericConditions follows one MiniCluster through what may happen to it.
func TestGenericConditions(t *testing.T) {
	mc := sample.MiniCluster()
	for _, tc := range []struct {
		name    string
		prepare func(*Input)
		want    string
	}{
		{"just created", func(*Input) {}, "Reconciling/Resizing"},
		{"pods start", func(in *Input) { sample.RunningJob(4, 2)(in.Job) }, "Reconciling/NotReady"},
		{"ready", func(in *Input) { sample.RunningJob(4, 4)(in.Job) }, ""},
		{"ready, and grows", func(in *Input) { sample.RunningJob(4, 4)(in.Job); in.Job.Spec.Parallelism = new(int32(6)) }, "Reconciling/Resizing"},
		{"an invalid edit", func(in *Input) { sample.RunningJob(4, 4)(in.Job); in.Invalid = "minSize" }, "Stalled/Invalid"},
		{"invalid", func(in *Input) {
			in.Job, in.Outcome = nil, Outcome{Kind: Invalid, Reason: v1alpha2.ReasonInvalid, Message: "size"}
		}, "Stalled/Invalid"},
		{"a name conflict", func(in *Input) { in.Job, in.Outcome = nil, Outcome{Kind: NameConflict, Message: "x"} }, "Reconciling/NameConflict"},
		{"suspended", func(in *Input) { in.Job.Spec.Suspend = new(true) }, ""},
		{"the certificate is lost", func(in *Input) { sample.RunningJob(4, 4)(in.Job); in.CertificateLost = true }, "Stalled/CertificateLost"},
		{"ready again", func(in *Input) { sample.RunningJob(4, 4)(in.Job) }, ""},
		{"failed", func(in *Input) { sample.EndedJob(batchv1.JobFailed, "x", "y")(in.Job) }, "Stalled/Failed"},
	} {
		in := makeInput(t, mc, 4)
		tc.prepare(in)
		mc.Status, _ = Compute(*in)
		assert.Equal(t, tc.want, genericOf(t, mc.Status), tc.name)
	}

	mc = sample.MiniCluster()
	in := makeInput(t, mc, 4)
	sample.EndedJob(batchv1.JobComplete, "x", "y")(in.Job)
	mc.Status, _ = Compute(*in)
	assert.Empty(t, genericOf(t, mc.Status))
	ready := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionReady)
	assert.Equal(t, "True/Complete", string(ready.Status)+"/"+ready.Reason)
}

// genericOf returns the one condition that generic tools read, "" where there is none.
func genericOf(t *testing.T, status v1alpha2.MiniClusterStatus) string {
	t.Helper()
	found := ""
	for _, c := range status.Conditions {
		if c.Type == v1alpha2.ConditionStalled || c.Type == v1alpha2.ConditionReconciling {
			require.Empty(t, found, "one of them at most")
			require.Equal(t, metav1.ConditionTrue, c.Status, "only while it is true")
			assert.Equal(t, status.ObservedGeneration, c.ObservedGeneration)
			assert.NotEmpty(t, c.Message)
			found = c.Type + "/" + c.Reason
		}
	}
	return found
}
