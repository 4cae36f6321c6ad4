package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/sample"
)

func TestCompute(t *testing.T) {
	type conditions map[string]string // type -> "True/Reason"
	for _, tc := range []struct {
		name    string
		prepare func(*Input)
		job     []func(*batchv1.Job)
		outcome Outcome
		size    int32
		ready   int32
		// generation of the spec, 1 if unset.
		generation int64
		want       conditions
	}{
		{
			name: "just made",
			want: conditions{"Accepted": "True/Valid", "Ready": "False/NotReady", "Progressing": "True/Resizing", "ScalingLimited": "False/WithinBounds", "Suspended": "False/NotSuspended"},
		},
		{
			name: "coming up", job: []func(*batchv1.Job){sample.RunningJob(4, 2)}, size: 4, ready: 2,
			want: conditions{"Ready": "False/NotReady", "Progressing": "True/NotReady"},
		},
		{
			name: "up", job: []func(*batchv1.Job){sample.RunningJob(4, 4)}, size: 4, ready: 4,
			want: conditions{"Ready": "True/Ready", "Progressing": "False/Stable"},
		},
		{
			name: "the quorum is online", job: []func(*batchv1.Job){sample.RunningJob(4, 3)}, size: 4, ready: 3,
			prepare: func(s *Input) { s.ConfigMap = &corev1.ConfigMap{Data: map[string]string{resources.KeyQuorum: "3"}} },
			want:    conditions{"Ready": "True/Ready", "Progressing": "True/NotReady"},
		},
		{
			name: "the quorum is not online", job: []func(*batchv1.Job){sample.RunningJob(4, 2)}, size: 4, ready: 2,
			prepare: func(s *Input) { s.ConfigMap = &corev1.ConfigMap{Data: map[string]string{resources.KeyQuorum: "3"}} },
			want:    conditions{"Ready": "False/NotReady"},
		},
		{
			name: "an unreadable quorum", job: []func(*batchv1.Job){sample.RunningJob(4, 3)}, size: 4, ready: 3,
			prepare: func(s *Input) { s.ConfigMap = &corev1.ConfigMap{Data: map[string]string{resources.KeyQuorum: "?"}} },
			want:    conditions{"Ready": "False/NotReady"},
		},
		{
			name: "an image can't be pulled", job: []func(*batchv1.Job){sample.RunningJob(4, 3)}, size: 4, ready: 3,
			prepare: func(s *Input) { s.Problem = &Problem{Reason: v1alpha2.ReasonImagePullFailed, Message: "x"} },
			want:    conditions{"Ready": "False/ImagePullFailed", "Progressing": "True/ImagePullFailed"},
		},
		{
			name: "shrinking", size: 4, ready: 4,
			job:  []func(*batchv1.Job){sample.RunningJob(4, 4), func(j *batchv1.Job) { j.Status.Terminating = new(int32(1)) }},
			want: conditions{"Ready": "True/Ready", "Progressing": "True/Resizing"},
		},
		{
			name: "suspended", job: []func(*batchv1.Job){func(j *batchv1.Job) { j.Spec.Suspend = new(true) }},
			want: conditions{"Ready": "False/Suspended", "Progressing": "False/Suspended", "Suspended": "True/Suspended"},
		},
		{
			name: "complete", job: []func(*batchv1.Job){sample.EndedJob(batchv1.JobComplete, "SuccessPolicy", "")},
			want: conditions{"Complete": "True/Complete", "Ready": "True/Complete", "Progressing": "False/Finished", "ScalingLimited": "False/WithinBounds"},
		},
		{
			name: "failed", job: []func(*batchv1.Job){sample.EndedJob(batchv1.JobFailed, "PodFailurePolicy", "exit code 3")},
			want: conditions{"Failed": "True/Failed", "Ready": "False/Failed", "Progressing": "False/Finished"},
		},
		{
			name:    "complete, also without the Job",
			prepare: func(s *Input) { s.Job = nil; end(s, v1alpha2.ConditionComplete) },
			want:    conditions{"Complete": "True/Complete", "Ready": "True/Complete"},
		},
		{
			name:    "a size after the end",
			prepare: func(s *Input) { end(s, v1alpha2.ConditionComplete); s.MiniCluster.Spec.Size = new(int32(2)) },
			want:    conditions{"ScalingLimited": "True/Finished"},
		},
		{
			name: "a size after the end, without the Job",
			prepare: func(s *Input) {
				s.Job = nil
				end(s, v1alpha2.ConditionComplete)
				s.MiniCluster.Spec.Size = new(int32(2))
				s.MiniCluster.Generation = 2
			},
			generation: 2,
			want:       conditions{"Complete": "True/Complete", "ScalingLimited": "True/Finished"},
		},
		{
			name:    "conditions of another controller are dropped",
			prepare: func(s *Input) { end(s, "JobMiniClusterReady") },
			want:    conditions{"Ready": "False/NotReady"},
		},
		{
			name: "invalid", outcome: Outcome{Kind: Invalid, Reason: v1alpha2.ReasonInvalid, Message: "spec.x: wrong"},
			prepare: func(s *Input) { s.Job = nil },
			want:    conditions{"Accepted": "False/Invalid", "Ready": "False/Invalid", "Progressing": "False/Invalid"},
		},
		{
			name: "a name conflict", outcome: Outcome{Kind: NameConflict, Message: "Job \"flux-sample\" already exists"},
			prepare: func(s *Input) { s.Job = nil },
			want:    conditions{"Accepted": "True/Valid", "Ready": "False/NameConflict", "Progressing": "True/NameConflict"},
		},
		{
			name: "a request failed", outcome: Outcome{Kind: Retrying, Message: "creating the Job: exceeded quota"},
			prepare: func(s *Input) { s.Job = nil },
			want:    conditions{"Ready": "False/NotReady", "Progressing": "True/Retrying"},
		},
		{
			name: "the certificate is lost", prepare: func(s *Input) { s.CertificateLost, s.GrowthRejected = true, true },
			want: conditions{"Ready": "False/CertificateLost", "ScalingLimited": "True/CertificateLost"},
		},
		{
			name: "edited after creation", prepare: func(s *Input) { s.Edited = []string{"spec.containers"} },
			want: conditions{"Accepted": "True/ImmutableFields"},
		},
		{
			name: "resized by another client", prepare: func(s *Input) { s.ResizedExternally = "parallelism 2" },
			want: conditions{"ScalingLimited": "True/JobResizedExternally"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := makeInput(t, sample.MiniCluster(), 4)
			for _, mod := range tc.job {
				mod(s.Job)
			}
			if tc.prepare != nil {
				tc.prepare(s)
			}
			s.Outcome = tc.outcome
			status, _ := Compute(*s)
			assert.Equal(t, tc.size, status.Size)
			assert.Equal(t, tc.ready, status.ReadySize)
			assert.Equal(t, "hpa-selector=flux-sample", status.Selector)
			assert.Equal(t, max(1, tc.generation), status.ObservedGeneration)
			assert.Nil(t, meta.FindStatusCondition(status.Conditions, "JobMiniClusterReady"))
			for kind, want := range tc.want {
				got := meta.FindStatusCondition(status.Conditions, kind)
				require.NotNil(t, got, kind)
				assert.Equal(t, want, string(got.Status)+"/"+got.Reason, "%s: %s", kind, got.Message)
				assert.NotEmpty(t, got.Message)
			}
			again := *s
			again.MiniCluster = s.MiniCluster.DeepCopy()
			again.MiniCluster.Status = status
			second, events := Compute(again)
			assert.Equal(t, status, second, "a second sync changes nothing")
			assert.Empty(t, events, "and reports nothing")
		})
	}
}

func end(s *Input, kind string) {
	meta.SetStatusCondition(&s.MiniCluster.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind, Message: "ended", ObservedGeneration: 1})
}

func TestEvents(t *testing.T) {
	rejected := sample.MiniCluster(sample.WithSize(5))
	rejection := resources.CheckSize(rejected, 4, 4)
	mc := sample.MiniCluster()
	compute := func() []Event {
		status, events := Compute(*makeInput(t, mc, 4))
		mc.Status = status
		return events
	}
	reject := func(generation int64) {
		rejection.Generation = generation
		text, err := rejection.Annotation()
		require.NoError(t, err)
		mc.Annotations = map[string]string{v1alpha2.AnnotationRejectedSize: text}
		mc.Generation = generation + 1
	}
	compute()
	reject(1)
	events := compute()
	require.Len(t, events, 1)
	assert.Equal(t, "ScaleRejected", events[0].Reason)
	assert.Contains(t, events[0].Message, "size 5")
	assert.Contains(t, events[0].Message, "maximum is 4")
	assert.Empty(t, compute(), "reported once")

	reject(3)
	assert.Len(t, compute(), 1, "the same size requested again is rejected, and reported, again")
}

// TestProblemEvents checks that a problem is reported once, even if its message changes.
func TestProblemEvents(t *testing.T) {
	in := makeInput(t, sample.MiniCluster(), 4)
	var reported []string
	for _, p := range []*Problem{
		nil, {Reason: v1alpha2.ReasonPulling, Message: "a"},
		{Reason: v1alpha2.ReasonImagePullFailed, Message: "b", Actionable: true},
		{Reason: v1alpha2.ReasonImagePullFailed, Message: "c", Actionable: true}, nil,
	} {
		in.Problem = p
		status, events := Compute(*in)
		for _, e := range events {
			reported = append(reported, e.Type+" "+e.Reason+": "+e.Message)
		}
		in.MiniCluster.Status = status
	}
	assert.Equal(t, []string{"Warning ImagePullFailed: 0 of 4 pods are ready; b"}, reported)
}

func TestChangeOf(t *testing.T) {
	in := makeInput(t, sample.MiniCluster(), 4)
	before, _ := Compute(*in)
	in.MiniCluster.Status = before
	ready := func(want bool) func(*batchv1.Job) {
		return func(*batchv1.Job) { in.LeadReady = new(want) }
	}
	for _, step := range []struct {
		changes []func(*batchv1.Job)
		want    change
		why     string
	}{
		{[]func(*batchv1.Job){sample.RunningJob(4, 0)}, changeNumbers, "pods exist"},
		{[]func(*batchv1.Job){sample.RunningJob(4, 1)}, changeNumbers, "one is ready"},
		{[]func(*batchv1.Job){sample.RunningJob(4, 1), ready(true)}, changeLead, "the lead is ready, the others are not counted yet"},
		{[]func(*batchv1.Job){sample.RunningJob(4, 4), ready(true)}, changeReadiness, "all are"},
		{[]func(*batchv1.Job){sample.EndedJob(batchv1.JobComplete, "", "")}, changeOther, "the end can not wait"},
	} {
		for _, change := range step.changes {
			change(in.Job)
		}
		after, _ := Compute(*in)
		assert.Equal(t, step.want, changeOf(before, after), step.why)
	}
}

func TestChangeOfFirst(t *testing.T) {
	for _, test := range []struct {
		why    string
		modify func(*Input)
		want   change
	}{
		{"the Job was just created", func(*Input) {}, changeFirst},
		{"some pods are ready", func(in *Input) { sample.RunningJob(4, 2)(in.Job) }, changeFirst},
		{"all pods are ready", func(in *Input) { sample.RunningJob(4, 4)(in.Job); in.LeadReady = new(true) }, changeOther},
		{"there is no Job", func(in *Input) { in.Job = nil }, changeOther},
		{"its user edited it", func(in *Input) { in.MiniCluster.Generation++ }, changeOther},
		{"it has a status", func(in *Input) { in.MiniCluster.Status, _ = Compute(*in) }, changeNumbers},
		{"a name is taken", func(in *Input) { in.Outcome = Outcome{Kind: NameConflict, Message: "m"} }, changeOther},
	} {
		in := makeInput(t, sample.MiniCluster(), 4)
		in.MiniCluster.Generation = FirstGeneration
		test.modify(in)
		after, _ := Compute(*in)
		assert.Equal(t, test.want, changeOf(in.MiniCluster.Status, after), test.why)
	}
}

// TestChangeOfReadyCluster checks that a ready cluster that grows or loses pods reports numbers like one that starts.
func TestChangeOfReadyCluster(t *testing.T) {
	in := makeInput(t, sample.MiniCluster(), 4)
	in.LeadReady = new(true)
	next := func(change func(*batchv1.Job)) change {
		before := in.MiniCluster.Status
		change(in.Job)
		in.MiniCluster.Status, _ = Compute(*in)
		return changeOf(before, in.MiniCluster.Status)
	}
	next(sample.RunningJob(4, 4))
	assert.Equal(t, changeReadiness, next(sample.RunningJob(3, 3)), "a pod is lost")
	assert.Equal(t, changeNumbers, next(sample.RunningJob(4, 3)))
	assert.Equal(t, changeReadiness, next(sample.RunningJob(4, 4)))
}

// TestReadyLeadIsCounted checks that a cluster of one pod is complete when its lead is ready, before the Job counts it.
func TestReadyLeadIsCounted(t *testing.T) {
	in := makeInput(t, sample.MiniCluster(), 1)
	sample.RunningJob(1, 0)(in.Job)
	in.Job.Status.Active = 0
	in.LeadReady = new(false)
	status, _ := Compute(*in)
	assert.Equal(t, []int32{0, 0}, []int32{status.Size, status.ReadySize})

	in.MiniCluster.Status, in.LeadReady = status, new(true)
	status, _ = Compute(*in)
	assert.Equal(t, []int32{1, 1}, []int32{status.Size, status.ReadySize})
	assert.Equal(t, v1alpha2.ReasonStable, meta.FindStatusCondition(status.Conditions, v1alpha2.ConditionProgressing).Reason)
	assert.Equal(t, changeReadiness, changeOf(in.MiniCluster.Status, status), "no number is missing, so this does not wait for one")

	in.MiniCluster.Status = status
	sample.RunningJob(1, 1)(in.Job)
	status, _ = Compute(*in)
	assert.Equal(t, in.MiniCluster.Status, status, "the count of the Job changes nothing")
}

// TestIneffectiveFieldsAreReported checks that a field without effect is not an error.
func TestIneffectiveFieldsAreReported(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) { mc.Spec.FluxRestful = &v1alpha2.FluxRestful{} })
	s := makeInput(t, mc, 4)
	after, events := Compute(*s)
	accepted := meta.FindStatusCondition(after.Conditions, v1alpha2.ConditionAccepted)
	assert.Equal(t, v1alpha2.ReasonFieldsWithoutEffect, accepted.Reason)
	assert.True(t, meta.IsStatusConditionTrue(after.Conditions, v1alpha2.ConditionAccepted))
	assert.Contains(t, accepted.Message, "spec.fluxRestful: ")
	require.Len(t, events, 1)
	assert.Equal(t, corev1.EventTypeWarning, events[0].Type)
}
