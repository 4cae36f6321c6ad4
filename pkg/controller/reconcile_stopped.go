package controller

import (
	"context"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// stoppedCluster ends the sync of a MiniCluster that has no Job on purpose: it hibernates, or it was not started yet.
// Such a MiniCluster costs no request, whatever changes in its spec.
func (c *Controller) stoppedCluster(ctx context.Context, s *syncState) error {
	if s.job != nil || s.foreignJob != nil {
		return nil
	}
	if s.hibernated == nil && (s.mc.Status.JobID != "" || resources.StopCause(s.mc, nil) == "") {
		return nil
	}
	s.observed.Hibernation = s.stoppedState()
	for _, step := range []func(context.Context, *syncState) error{c.validate, c.fillSize, c.enforceBounds} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	s.observed.Hibernation = s.stoppedState() // a size may have been corrected
	if s.observed.Hibernation == nil || s.observed.Hibernation.Phase == status.HibernationWaking {
		return nil
	}
	s.stopped, s.observed.Drain = true, nil
	if s.hibernated == nil {
		return nil
	}
	if err := c.followCause(ctx, s); err != nil {
		return err
	}
	return c.deleteStoppedServicesPod(ctx, s)
}

// stoppedState returns the state of a MiniCluster without a Job, nil if it should simply have one.
func (s *syncState) stoppedState() *status.Hibernation {
	cause := resources.StopCause(s.mc, s.hibernated)
	if s.hibernated == nil {
		if cause == "" {
			return nil
		}
		return &status.Hibernation{Phase: status.HibernationNotStarted, Cause: cause}
	}
	h := &status.Hibernation{
		Phase: status.HibernationStopped, Cause: cause, Record: s.hibernated, Status: s.hibernated.Status(), Discarded: discards(s.mc),
	}
	if cause == "" {
		h.Phase, h.Cause = status.HibernationWaking, s.hibernated.Cause
	}
	return h
}

// followCause changes the record of a cluster that hibernates because it was idle: when it was suspended meanwhile, the
// end of that wakes it, and when a smaller size was requested, a size above that one does.
func (c *Controller) followCause(ctx context.Context, s *syncState) error {
	record := *s.hibernated
	if record.Cause != v1alpha2.CauseIdle || s.configMap == nil {
		return nil
	}
	if s.observed.Hibernation.Cause != v1alpha2.CauseIdle {
		record.Cause = s.observed.Hibernation.Cause
	} else {
		record.Size = min(record.Size, s.mc.RequestedSize())
	}
	if record.Cause == s.hibernated.Cause && record.Size == s.hibernated.Size {
		return nil
	}
	s.hibernated, s.observed.Hibernation.Record, s.observed.Hibernation.Status = &record, &record, record.Status()
	return c.writeHibernation(ctx, s, &record)
}
