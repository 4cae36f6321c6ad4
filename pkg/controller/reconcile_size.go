package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/metrics"
	"minicluster.internal/operator/pkg/controller/resources"
)

// size resizes the Job to the requested size, if it is not applied yet.
func (c *Controller) size(ctx context.Context, s *syncState) error {
	if s.job.DeletionTimestamp != nil || resources.FinishedCondition(s.job) != nil {
		return nil
	}
	target := s.target()
	if target == 0 {
		if s.observed.ResizedExternally != "" {
			if err := c.lowerQuorum(ctx, s, min(resources.Parallelism(s.job), resources.Completions(s.job))); err != nil {
				return err
			}
		}
		if err := c.undrain(ctx, s); err != nil {
			return err
		}
		return c.sendQuorum(ctx, s)
	}
	if target > resources.Parallelism(s.job) && s.observed.CertificateLost {
		s.observed.GrowthRejected = true
		return nil
	}
	if err := c.waitForTerminating(ctx, s, target); err != nil {
		return err
	}
	if ready, err := c.prepareBrokers(ctx, s, target); err != nil || !ready {
		return err
	}
	if err := c.lowerQuorum(ctx, s, target); err != nil {
		return err
	}
	return c.resize(ctx, s, target)
}

// target returns the new size of the Job, 0 if it keeps its size. If the size of the Job differs from the one that
// was applied last, another controller resized it (for example a queue that admits a part of the Job). That size is
// kept until spec.size changes, unless it is out of bounds.
func (s *syncState) target() int32 {
	parallelism, completions := resources.Parallelism(s.job), resources.Completions(s.job)
	if resources.LeadCompleted(s.job) {
		// The work is done. Servers without success policies would keep the followers running.
		if completions == 1 {
			return 0
		}
		return 1
	}
	wanted := s.mc.RequestedSize()
	applied, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationAppliedSize)
	if !known || applied != wanted {
		return wanted
	}
	if parallelism == wanted && completions == wanted {
		return 0
	}
	low, high := s.mc.LowerBound(s.fixed.Maximum), s.fixed.Maximum
	if min(parallelism, completions) < low || max(parallelism, completions) > high {
		return wanted
	}
	s.observed.ResizedExternally = messages.JobResizedExternally(parallelism, completions, wanted)
	return 0
}

// resize changes parallelism and completions in one write: Kubernetes allows a change of
// either only together with the other (KEP-3715).
func (c *Controller) resize(ctx context.Context, s *syncState, target int32) error {
	from := resources.Parallelism(s.job)
	annotations := map[string]any{
		v1alpha2.AnnotationAppliedSize:       resources.FormatSize(s.mc.RequestedSize()),
		v1alpha2.AnnotationAppliedGeneration: resources.FormatGeneration(s.mc.Generation),
	}
	c.annotateDrained(s, target, annotations)
	job, err := patch(ctx, c, s.key, c.kube.BatchV1().Jobs(s.mc.Namespace), jobs, s.job.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{"uid": s.job.UID, "annotations": annotations},
		"spec":     map[string]any{"parallelism": target, "completions": target},
	})
	if err != nil {
		return err
	}
	s.job = job
	c.resized(ctx, s, from, target)
	return nil
}

// resized counts and reports a resize.
func (c *Controller) resized(ctx context.Context, s *syncState, from, target int32) {
	switch {
	case s.undrained != nil && s.undrained.Reason == drain.ReasonTimedOut:
		c.metrics.Drained(metrics.DrainTimedOut)
	case s.undrained != nil:
		c.metrics.Drained(metrics.DrainSkipped)
	case s.observed.Drain != nil && target < from:
		c.metrics.Drained(metrics.DrainIdle)
	}
	s.observed.Drain = nil // the Job has this size now
	c.agents.Reset(s.name())
	c.metrics.Scaled(v1alpha2.ReasonWithinBounds)
	klog.FromContext(ctx).Info("MiniCluster", "Size", from, "Requested Size", target, "Status", "Accepted")
	if from != target {
		c.events.Eventf(s.mc, s.job, corev1.EventTypeNormal, "Resized", "ResizeJob", messages.JobResized, from, target)
	}
	if e := s.undrained; e != nil {
		c.events.Eventf(s.mc, s.job, e.Type, e.Reason, e.Action, "%s", e.Message)
	}
}
