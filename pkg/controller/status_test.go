package controller

import (
	"errors"
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

// TestWithoutEffectIsReported: the spec is accepted, and the message says what is not done.
func TestWithoutEffectIsReported(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) { mc.Spec.FluxRestful = &v1alpha2.FluxRestful{} })
	s := makeState(t, mc, 4)
	before, after := mc.Status, newStatus(s, nil)
	accepted := meta.FindStatusCondition(after.Conditions, v1alpha2.ConditionAccepted)
	assert.Equal(t, v1alpha2.ReasonFieldsWithoutEffect, accepted.Reason)
	assert.True(t, meta.IsStatusConditionTrue(after.Conditions, v1alpha2.ConditionAccepted))
	assert.Contains(t, accepted.Message, "spec.fluxRestful: ")
	events := statusEvents(before, after)
	require.Len(t, events, 1)
	assert.Equal(t, corev1.EventTypeWarning, events[0].kind)
}

func TestNewStatus(t *testing.T) {
	type conditions map[string]string // type -> "True/Reason"
	for _, tc := range []struct {
		name    string
		prepare func(*syncState)
		job     []func(*batchv1.Job)
		err     error
		size    int32
		ready   int32
		// generation of the spec, 1 where unset.
		generation int64
		want       conditions
	}{
		{
			name: "just made",
			want: conditions{"Accepted": "True/Valid", "Ready": "False/Starting", "Progressing": "True/Resizing", "ScalingLimited": "False/WithinBounds", "Suspended": "False/NotSuspended"},
		},
		{
			name: "coming up", job: []func(*batchv1.Job){sample.RunningJob(4, 2)}, size: 4, ready: 2,
			want: conditions{"Ready": "False/Starting", "Progressing": "True/Starting"},
		},
		{
			name: "up", job: []func(*batchv1.Job){sample.RunningJob(4, 4)}, size: 4, ready: 4,
			want: conditions{"Ready": "True/Ready", "Progressing": "False/Stable"},
		},
		{
			name: "the quorum is up", job: []func(*batchv1.Job){sample.RunningJob(4, 3)}, size: 4, ready: 3,
			prepare: func(s *syncState) { s.conf = &corev1.ConfigMap{Data: map[string]string{resources.KeyQuorum: "3"}} },
			want:    conditions{"Ready": "True/Ready", "Progressing": "True/Starting"},
		},
		{
			name: "the quorum is not up", job: []func(*batchv1.Job){sample.RunningJob(4, 2)}, size: 4, ready: 2,
			prepare: func(s *syncState) { s.conf = &corev1.ConfigMap{Data: map[string]string{resources.KeyQuorum: "3"}} },
			want:    conditions{"Ready": "False/Starting"},
		},
		{
			name: "a quorum that nobody can read", job: []func(*batchv1.Job){sample.RunningJob(4, 3)}, size: 4, ready: 3,
			prepare: func(s *syncState) { s.conf = &corev1.ConfigMap{Data: map[string]string{resources.KeyQuorum: "?"}} },
			want:    conditions{"Ready": "False/Starting"},
		},
		{
			name: "an image can't be pulled", job: []func(*batchv1.Job){sample.RunningJob(4, 3)}, size: 4, ready: 3,
			prepare: func(s *syncState) { s.seen.problem = &problem{reason: v1alpha2.ReasonImagePullFailed, text: "x"} },
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
			want: conditions{"Complete": "True/Complete", "Ready": "False/Complete", "Progressing": "False/Finished", "ScalingLimited": "False/WithinBounds"},
		},
		{
			name: "failed", job: []func(*batchv1.Job){sample.EndedJob(batchv1.JobFailed, "PodFailurePolicy", "exit code 3")},
			want: conditions{"Failed": "True/Failed", "Ready": "False/Failed", "Progressing": "False/Finished"},
		},
		{
			name:    "complete for good, though the Job is gone",
			prepare: func(s *syncState) { s.job = nil; end(s, v1alpha2.ConditionComplete) },
			want:    conditions{"Complete": "True/Complete", "Ready": "False/Complete"},
		},
		{
			name:    "a size after the end",
			prepare: func(s *syncState) { end(s, v1alpha2.ConditionComplete); s.mc.Spec.Size = new(int32(2)) },
			want:    conditions{"ScalingLimited": "True/Finished"},
		},
		{
			name: "a size after the end, though the Job is gone",
			prepare: func(s *syncState) {
				s.job = nil
				end(s, v1alpha2.ConditionComplete)
				s.mc.Spec.Size = new(int32(2))
				s.mc.Generation = 2
			},
			generation: 2,
			want:       conditions{"Complete": "True/Complete", "ScalingLimited": "True/Finished"},
		},
		{
			name:    "conditions of another controller are dropped",
			prepare: func(s *syncState) { end(s, "JobMiniClusterReady") },
			want:    conditions{"Ready": "False/Starting"},
		},
		{
			name: "invalid", err: &terminalError{reason: v1alpha2.ReasonInvalid, message: "spec.x: wrong"},
			prepare: func(s *syncState) { s.job = nil },
			want:    conditions{"Accepted": "False/Invalid", "Ready": "False/Invalid", "Progressing": "False/Invalid"},
		},
		{
			name: "a name is held", err: &heldError{kind: "Job", name: "flux-sample", holder: "it has no controller"},
			prepare: func(s *syncState) { s.job = nil },
			want:    conditions{"Accepted": "True/Valid", "Ready": "False/NameHeld", "Progressing": "True/NameHeld"},
		},
		{
			name: "a request failed", err: errors.New("creating the Job: exceeded quota"),
			prepare: func(s *syncState) { s.job = nil },
			want:    conditions{"Ready": "False/Starting", "Progressing": "True/Retrying"},
		},
		{
			name: "the certificate is lost", prepare: func(s *syncState) { s.seen.certificateLost, s.seen.growthRefused = true, true },
			want: conditions{"Ready": "False/CertificateLost", "ScalingLimited": "True/CertificateLost"},
		},
		{
			name: "edited too late", prepare: func(s *syncState) { s.seen.edited = []string{"spec.containers"} },
			want: conditions{"Accepted": "True/ImmutableFields"},
		},
		{
			name: "resized by somebody else", prepare: func(s *syncState) { s.seen.elsewhere = "parallelism 2" },
			want: conditions{"ScalingLimited": "True/JobResizedElsewhere"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := makeState(t, sample.MiniCluster(), 4)
			for _, mod := range tc.job {
				mod(s.job)
			}
			if tc.prepare != nil {
				tc.prepare(s)
			}
			status := newStatus(s, tc.err)
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
			again.mc = s.mc.DeepCopy()
			again.mc.Status = status
			assert.Equal(t, status, newStatus(&again, tc.err), "a second look changes nothing")
		})
	}
}

func end(s *syncState, kind string) {
	meta.SetStatusCondition(&s.mc.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind, Message: "ended", ObservedGeneration: 1})
}

func TestStatusEvents(t *testing.T) {
	denied := sample.MiniCluster(sample.WithSize(5))
	d := resources.CheckSize(denied, 4, 4)
	text, err := d.Annotation()
	require.NoError(t, err)
	mc := sample.MiniCluster()
	before := newStatus(makeState(t, mc, 4), nil)

	mc.Annotations = map[string]string{v1alpha2.AnnotationDeniedSize: text}
	mc.Generation = 2
	mc.Status = before
	after := newStatus(makeState(t, mc, 4), nil)
	events := statusEvents(before, after)
	require.Len(t, events, 1)
	assert.Equal(t, "ScaleDenied", events[0].reason)
	assert.Contains(t, events[0].message, "size 5")
	assert.Contains(t, events[0].message, "maximum is 4")
	assert.Empty(t, statusEvents(after, after), "told once")

	// The same wish again is denied, and told, again.
	d.Generation = 3
	text, err = d.Annotation()
	require.NoError(t, err)
	mc.Annotations[v1alpha2.AnnotationDeniedSize] = text
	mc.Generation = 4
	mc.Status = after
	assert.Len(t, statusEvents(after, newStatus(makeState(t, mc, 4), nil)), 1)
}

// TestProblemEvents: a problem is told once, whatever else its message says later.
func TestProblemEvents(t *testing.T) {
	s := makeState(t, sample.MiniCluster(), 4)
	var told []string
	for _, p := range []*problem{
		nil, {reason: v1alpha2.ReasonPulling, text: "a"}, {reason: v1alpha2.ReasonImagePullFailed, text: "b"}, {reason: v1alpha2.ReasonImagePullFailed, text: "c"}, nil,
	} {
		s.seen.problem = p
		after := newStatus(s, nil)
		for _, e := range statusEvents(s.mc.Status, after) {
			told = append(told, e.kind+" "+e.reason+": "+e.message)
		}
		s.mc.Status = after
	}
	assert.Equal(t, []string{"Warning ImagePullFailed: 0 of 4 pods are ready; b"}, told)
}

func TestUrgent(t *testing.T) {
	s := makeState(t, sample.MiniCluster(), 4)
	before := newStatus(s, nil)
	s.mc.Status = before
	sample.RunningJob(4, 4)(s.job)
	assert.False(t, urgent(before, newStatus(s, nil)), "readiness can wait")
	sample.EndedJob(batchv1.JobComplete, "", "")(s.job)
	assert.True(t, urgent(before, newStatus(s, nil)), "the end can not")
}
