package resources

import (
	batchv1 "k8s.io/api/batch/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

const (
	// LabelKueuePodSet is the label that Kueue adds to the pod template of a Job that it admits.
	LabelKueuePodSet = "kueue.x-k8s.io/podset"
	// annotationKueueElastic on a Job lets Kueue admit another size of the Job while its pods run (alpha in Kueue:
	// feature gate ElasticJobsViaWorkloadSlices).
	annotationKueueElastic = "kueue.x-k8s.io/elastic-job"
)

// CheckQueue checks a size that is within the bounds for a Job that Kueue has admitted. Kueue suspends an admitted Job
// whose size changes, which deletes all its pods, unless the Job is elastic. CheckQueue returns nil if the Job may have
// the size. A Job whose own size is outside the bounds has to be resized in any case.
func CheckQueue(mc *v1alpha2.MiniCluster, job *batchv1.Job, maximum int32) *SizeRejection {
	if job == nil || Suspended(job) || FinishedCondition(job) != nil {
		return nil
	}
	if job.Spec.Template.Labels[LabelKueuePodSet] == "" || job.Annotations[annotationKueueElastic] == "true" {
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
