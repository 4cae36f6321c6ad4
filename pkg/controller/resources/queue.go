package resources

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

const (
	// LabelKueuePodSet is the label that Kueue adds to the pod template of a Job that it admits.
	LabelKueuePodSet = "kueue.x-k8s.io/podset"
	// GateKueueElastic is the scheduling gate that Kueue adds to the pod template of a Job with its annotation of the
	// same name, if the feature gate ElasticJobsViaWorkloadSlices (alpha) is on. Kueue admits another size of such a Job
	// while its pods run.
	GateKueueElastic = "kueue.x-k8s.io/elastic-job"
	// annotationKueuePartial on a Job lets Kueue admit a part of its pods. Kueue refuses to resize such a Job while it
	// runs, even if it is elastic.
	annotationKueuePartial = "kueue.x-k8s.io/job-min-parallelism"
)

// elastic reports whether Kueue lets a Job that it has admitted change its size. The annotation alone is not enough:
// Kueue ignores it if the feature gate is off.
func elastic(job *batchv1.Job) bool {
	return job.Annotations[annotationKueuePartial] == "" && hasGate(job, GateKueueElastic)
}

// hasGate reports whether the pod template of a Job has a scheduling gate.
func hasGate(job *batchv1.Job, name string) bool {
	return slices.ContainsFunc(job.Spec.Template.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == name })
}

// CheckQueue checks a size that is within the bounds for a Job that Kueue has admitted. Kueue suspends an admitted Job
// whose size changes, which deletes all its pods, unless the Job is elastic. CheckQueue returns nil if the Job may have
// the size. A Job whose own size is outside the bounds has to be resized in any case.
func CheckQueue(mc *v1alpha2.MiniCluster, job *batchv1.Job, maximum int32) *SizeRejection {
	if job == nil || Suspended(job) || FinishedCondition(job) != nil {
		return nil
	}
	if job.Spec.Template.Labels[LabelKueuePodSet] == "" || elastic(job) {
		return nil
	}
	requested, parallelism := mc.RequestedSize(), Parallelism(job)
	if requested == 0 {
		return nil // it hibernates
	}
	applied, known := SizeAnnotation(job.Annotations, v1alpha2.AnnotationAppliedSize)
	if requested == parallelism || known && requested == applied || parallelism < mc.LowerBound(maximum) || parallelism > maximum {
		return nil
	}
	return &SizeRejection{
		UID: mc.UID, Generation: mc.Generation, Requested: requested, Granted: parallelism, Bound: parallelism,
		Reason: v1alpha2.ReasonNotElastic,
	}
}
