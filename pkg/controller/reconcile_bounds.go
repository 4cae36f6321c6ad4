package controller

import (
	"context"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// enforceBounds resets a spec.size that is outside the bounds, or that would make a queue
// delete all pods, before anything is created from it.
func (c *Controller) enforceBounds(ctx context.Context, s *syncState) error {
	var parallelism int32
	if s.job != nil && s.job.Spec.Parallelism != nil {
		parallelism = *s.job.Spec.Parallelism
	}
	rejection := resources.CheckSize(s.mc, s.fixed.Maximum, parallelism)
	if rejection == nil {
		rejection = resources.CheckQueue(s.mc, s.job, s.fixed.Maximum)
	}
	if rejection == nil {
		rejection = resources.CheckReduction(s.mc, s.fixed.Maximum, c.clock.Now())
	}
	if rejection == nil {
		return nil
	}
	klog.FromContext(ctx).Info("MiniCluster", "Size", parallelism, "Requested Size", rejection.Requested,
		"Patch Size", rejection.Granted, "Status", "Denied", "reason", rejection.Reason)
	text, err := rejection.Annotation()
	if err != nil {
		return err
	}
	if err := c.writeSize(ctx, s, rejection.Granted, map[string]string{v1alpha2.AnnotationRejectedSize: text}); err != nil {
		return err
	}
	c.metrics.Scaled(rejection.Reason)
	return nil
}
