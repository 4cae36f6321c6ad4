package controller

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/controller/diagnosis"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// endOfFailedJob determines why a Job failed. A Job also fails where the program of the lead completed and another
// container of its pod failed.
func (c *Controller) endOfFailedJob(ctx context.Context, s *syncState, end *batchv1.JobCondition) {
	failure, ends := diagnosis.NewFailure(end), c.ends(s)
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		failure.Add(pod)
		ends.Add(pod)
	})
	switch {
	case err != nil:
		klog.FromContext(ctx).Error(err, "Failed to determine which pod caused the Job to fail")
		if !apierrors.IsForbidden(err) {
			s.observed.Lead.Unknown = true
			s.requeueAfter(conflictBase)
		}
	case ends.LeadSucceeded():
		s.observed.Lead = status.LeadEnd{Succeeded: true, Sidecars: ends.Sidecars()}
	default:
		s.observed.FailureCause = failure.Cause(s.mc.Name)
	}
}

// ends examines the pods of a Job.
func (c *Controller) ends(s *syncState) *diagnosis.Ends {
	return diagnosis.NewEnds(s.mc.Name, &s.job.Spec.Template.Spec)
}

// endOfCompleteJob finds out which sidecars of a complete Job failed, if it has any.
func (c *Controller) endOfCompleteJob(ctx context.Context, s *syncState) {
	if len(s.job.Spec.Template.Spec.Containers) < 2 {
		return
	}
	ends := c.ends(s)
	if err := c.eachPodOfJob(ctx, s.mc, s.job, ends.Add); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to determine which sidecars failed")
		return
	}
	s.observed.Lead.Sidecars = ends.Sidecars()
}

// checkLead inspects the pods of a Job after some have ended, or after an inspection found that the lead has ended. A
// Job whose lead has ended with 0 may not complete: another container of the pod has failed, or one that something else
// added still runs. The work is complete then, and the Job ends. Kubernetes would replace a failed pod after a back-off
// of 10 s, and run the program again.
func (c *Controller) checkLead(ctx context.Context, s *syncState) error {
	losses, due := c.jobRecords.leadIsDue(s.key, s.job.UID)
	if !due || s.lead != nil && resources.PodReady(s.lead) {
		return nil // a follower has ended, or the cache will show the end of the lead
	}
	selector, ends := resources.PodSelector(s.mc), c.ends(s)
	if c.environment.AtLeast(minorIndexLabel) {
		selector += "," + leadSelector
	}
	err := c.eachPod(ctx, s.mc, selector, func(pod *corev1.Pod) {
		if metav1.IsControlledBy(pod, s.job) {
			ends.Add(pod)
		}
	})
	if err != nil {
		return err
	}
	if ends.LeadFailed() || ends.LeadIsKept() {
		if err := c.limitJobToLead(ctx, s, ends.LeadFailed()); err != nil {
			return err
		}
		s.observed.Lead = status.LeadEnd{Succeeded: true, Sidecars: ends.Sidecars(), KeptBy: ends.KeptBy()}
	}
	c.jobRecords.checkedLead(s.key, s.job.UID, losses)
	return nil
}

// limitJobToLead removes the followers of a Job whose work is complete, and lets it fail with the next failed pod, so
// that the lead is never replaced. The pod of the lead remains, with its log. leadFailed reports whether the Job has
// counted it.
func (c *Controller) limitJobToLead(ctx context.Context, s *syncState, leadFailed bool) error {
	limit := s.job.Status.Failed
	if leadFailed {
		limit = max(0, limit-1)
	}
	spec := map[string]any{"parallelism": 1, "completions": 1}
	if s.job.Spec.Template.Spec.RestartPolicy == corev1.RestartPolicyNever {
		spec["backoffLimit"] = limit
	}
	job, err := patch(ctx, c, s.key, c.kube.BatchV1().Jobs(s.mc.Namespace), jobs, s.job.Name, types.MergePatchType,
		map[string]any{"metadata": map[string]any{"uid": s.job.UID}, "spec": spec})
	if err != nil {
		return err
	}
	klog.FromContext(ctx).Info("The lead program has completed, and its pod has not: the Job ends", "from", resources.Parallelism(s.job))
	s.job = job
	return nil
}
