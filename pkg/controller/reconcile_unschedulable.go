package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// minUnschedulableCheck is the shortest time between two lists of the pods of a MiniCluster to find those that cannot
// be scheduled.
const minUnschedulableCheck = 5 * time.Second

// reduceSize reduces spec.size by the number of pods that have not been scheduled for a time that the spec limits. The
// Job then shrinks from the top, as for any smaller size: if a lower rank is the one without a node, it takes the room
// of a higher one. A MiniCluster whose pods are all ready, or without that limit, takes no request.
func (c *Controller) reduceSize(ctx context.Context, s *syncState) error {
	timeout := resources.UnschedulableTimeout(s.mc, s.job)
	if timeout == 0 || !resources.LacksPods(s.job) || resources.Parallelism(s.job) != s.mc.RequestedSize() {
		c.unschedulable.done(s.key)
		return nil
	}
	if wait := c.unschedulable.due(s.key, timeout); wait > 0 {
		s.requeueAfter(wait)
		return nil
	}
	now, pods, next := c.clock.Now(), int32(0), timeout
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		switch age, waits := resources.Unschedulable(pod, now); {
		case !waits:
		case age >= timeout:
			pods++
		default:
			next = min(next, timeout-age)
		}
	})
	if err != nil {
		return err
	}
	next = max(next, minUnschedulableCheck)
	c.unschedulable.checked(s.key, next)
	s.requeueAfter(next)
	reduced, text, err := resources.ReduceSize(s.mc, s.fixed.Maximum, pods, now)
	if reduced == nil {
		return err
	}
	rejection := &resources.SizeRejection{
		UID: s.mc.UID, Generation: s.mc.Generation, Requested: s.mc.RequestedSize(), Granted: reduced.Size, Bound: reduced.Size,
		Reason: v1alpha2.ReasonUnschedulable, Until: &reduced.Until,
	}
	record, err := rejection.Annotation()
	if err != nil {
		return err
	}
	klog.FromContext(ctx).Info("MiniCluster", "Size", rejection.Requested, "Patch Size", reduced.Size, "Status", "Denied", "unschedulablePods", pods)
	err = c.writeSize(ctx, s, reduced.Size, map[string]string{
		v1alpha2.AnnotationRejectedSize: record, v1alpha2.AnnotationUnschedulableSize: text,
	})
	if err != nil {
		return err
	}
	c.metrics.Scaled(rejection.Reason)
	return nil
}
