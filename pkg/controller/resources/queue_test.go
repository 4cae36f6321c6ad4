package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// admitted is a Job of size 2 that Kueue has admitted.
func admitted(mods ...func(*batchv1.Job)) *batchv1.Job {
	job := &batchv1.Job{Spec: batchv1.JobSpec{Parallelism: ptr.To[int32](2), Completions: ptr.To[int32](2)}}
	job.Annotations = map[string]string{v1alpha2.AnnotationAppliedSize: "2"}
	job.Spec.Template.Labels = map[string]string{LabelKueuePodSet: "main"}
	for _, mod := range mods {
		mod(job)
	}
	return job
}

func TestCheckQueue(t *testing.T) {
	elastic := func(job *batchv1.Job) {
		job.Annotations["kueue.x-k8s.io/elastic-job"] = "true"
		job.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: GateKueueElastic}}
	}
	for name, tc := range map[string]struct {
		job     *batchv1.Job
		size    int32
		minSize int32
		reject  bool
	}{
		"no Job":        {size: 3},
		"not admitted":  {size: 3, job: admitted(func(job *batchv1.Job) { job.Spec.Template.Labels = nil })},
		"suspended":     {size: 3, job: admitted(func(job *batchv1.Job) { job.Spec.Suspend = ptr.To(true) })},
		"elastic":       {size: 3, job: admitted(elastic)},
		"the same size": {size: 2, job: admitted()},
		"growth":        {size: 3, job: admitted(), reject: true},
		"shrink":        {size: 1, job: admitted(), reject: true},
		"elastic, but Kueue's feature gate is off": {size: 3, reject: true, job: admitted(func(job *batchv1.Job) {
			job.Annotations["kueue.x-k8s.io/elastic-job"] = "true"
		})},
		"elastic, and a part may be admitted": {size: 3, reject: true, job: admitted(elastic, func(job *batchv1.Job) {
			job.Annotations["kueue.x-k8s.io/job-min-parallelism"] = "1"
		})},
		"a part was admitted": {size: 4, job: admitted(func(job *batchv1.Job) { job.Annotations[v1alpha2.AnnotationAppliedSize] = "4" })},
		"minSize was raised":  {size: 3, minSize: 3, job: admitted()},
		"finished": {size: 3, job: admitted(func(job *batchv1.Job) {
			job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(sample.WithSize(tc.size), sample.WithMinSize(tc.minSize))
			d := CheckQueue(mc, tc.job, 8)
			if !tc.reject {
				assert.Nil(t, d)
				return
			}
			require.NotNil(t, d)
			assert.Equal(t, int32(2), d.Granted)
			assert.Contains(t, d.Message(), "kueue.x-k8s.io/elastic-job")
			assert.Nil(t, CheckQueue(sample.MiniCluster(sample.WithSize(d.Granted)), tc.job, 8), "the size that spec.size is reset to is accepted")
		})
	}
}
