package controller

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

const (
	// hibernateStart is the time between recording that a hibernation begins and the first request.
	hibernateStart = 20 * time.Millisecond
	// hibernatePoll is how often the agent is asked while jobs end or the state is saved.
	hibernatePoll = time.Second
	// maxHibernatePoll is the longest time between two requests that fail.
	maxHibernatePoll = 15 * time.Second
)

// causeCanceled is the cause in the status while the queues start again because the cluster is not idle. The cause is
// that of no hibernation, so another process continues with that, and only [resources.StopCause] replaces it.
const causeCanceled v1alpha2.HibernationCause = ""

// hibernate stops the cluster if the spec says so: the agent of the lead stops the queues and saves the state, the
// ConfigMap records that, and the Job is deleted. Each step may be repeated by another process.
//
// The status records the hibernation before the first request, so that the next leader knows that the queues may be
// stopped.
func (c *Controller) hibernate(ctx context.Context, s *syncState) error {
	if s.job == nil {
		if cause := resources.StopCause(s.mc, s.hibernated); cause != "" {
			// If the Job was deleted before the state was saved, the next one has to know that: see [resources.Fixed].
			s.stop(&status.Hibernation{Phase: status.HibernationNotStarted, Cause: cause, Status: s.mc.Status.Hibernation.DeepCopy()})
		}
		return nil
	}
	if resources.FinishedCondition(s.job) != nil || resources.LeadCompleted(s.job) {
		return nil
	}
	if record := resources.RecordedHibernation(s.configMap); record != nil && record.Job == s.job.UID {
		return c.deleteHibernatedJob(ctx, s, record)
	}
	if s.job.DeletionTimestamp != nil {
		return nil
	}
	begun := s.begunHibernation()
	cause, err := c.hibernationCause(ctx, s, begun)
	switch {
	case err != nil || cause == "" && begun == nil:
		return err
	case cause == "":
		return c.cancelHibernation(ctx, s, begun)
	case begun == nil || begun.Cause != cause:
		s.stop(&status.Hibernation{Phase: status.HibernationStopping, Cause: cause, Message: messages.Hibernating, Status: c.beginHibernation(s, begun, cause)})
		s.requeueAfter(hibernateStart)
		return nil
	}
	s.stop(&status.Hibernation{Phase: status.HibernationStopping, Cause: cause, Message: messages.Hibernating, Status: begun})
	begun.Deadline = c.hibernationDeadline(s, begun)
	return c.saveState(ctx, s, begun)
}

// begunHibernation returns the hibernation that the status reports, nil if there is none, or if it is that of the
// previous Job, which is complete: its deadline does not apply to this one.
func (s *syncState) begunHibernation() *v1alpha2.HibernationStatus {
	record := resources.RecordedHibernation(s.configMap)
	if record != nil && string(record.Job) == s.mc.Status.JobID {
		return nil
	}
	return s.mc.Status.Hibernation.DeepCopy()
}

// stop ends the sync with a state of the hibernation: later steps are about a cluster that runs.
func (s *syncState) stop(h *status.Hibernation) {
	s.observed.Hibernation, s.stopped = h, true
}

// hibernationCause returns why a running cluster should hibernate, "" if it should not. begun is the hibernation that
// is in progress.
func (c *Controller) hibernationCause(
	ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus,
) (v1alpha2.HibernationCause, error) {
	if cause := resources.StopCause(s.mc, nil); cause != "" {
		return cause, nil
	}
	cause := s.idleCause()
	if cause == "" || begun != nil {
		if begun != nil && begun.Cause == cause {
			return cause, nil
		}
		return "", nil
	}
	if c.isPostponed(s) {
		return "", nil
	}
	return c.askIdle(ctx, s, cause)
}

// beginHibernation returns the status of a hibernation that begins, or whose cause changed.
func (c *Controller) beginHibernation(s *syncState, begun *v1alpha2.HibernationStatus, cause v1alpha2.HibernationCause) *v1alpha2.HibernationStatus {
	// A time in a status has whole seconds. Rounded down, it would shorten the grace period of running jobs.
	since := c.clock.Now().Add(time.Second - 1).Truncate(time.Second)
	next := &v1alpha2.HibernationStatus{Since: metav1.NewTime(since), Cause: cause}
	if begun != nil && begun.Deadline != nil {
		next.Since = begun.Since
	}
	next.Deadline = c.hibernationDeadline(s, next)
	return next
}

// hibernationDeadline returns when running jobs are canceled, nil if they are not: a cluster that is idle, or that
// restarts, runs no jobs.
func (c *Controller) hibernationDeadline(s *syncState, begun *v1alpha2.HibernationStatus) *metav1.Time {
	if begun.Cause == v1alpha2.CauseIdle || begun.Cause == v1alpha2.CauseChanges {
		return nil
	}
	return new(metav1.NewTime(begun.Since.Add(resources.HibernationGrace(s.mc))))
}

// cancelHibernation lets a cluster run again that had begun to hibernate. The other steps do not wait for that. A lead
// that does not run now finds the marker when it starts, so it has to be asked, too.
func (c *Controller) cancelHibernation(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus) error {
	s.observed.Hibernation = &status.Hibernation{
		Phase: status.HibernationStopping, Cause: begun.Cause, Message: messages.HibernationCancels, Status: begun,
	}
	if reason, until, after := c.agents.PostponedHibernation(s.name(), s.mc.UID); after > 0 {
		s.observed.Hibernation.Failed, s.observed.Hibernation.Message = true, messages.SavePostponed(reason, until)
	}
	s.stopped = false
	answer, err := c.askHibernation(ctx, s, control.Hibernate{Cancel: true})
	switch {
	case err != nil || answer == nil:
		return err
	case answer.Err == nil && answer.State.Phase == control.PhaseRunning, answer.Permanent:
		s.observed.Hibernation = nil
		c.isPostponed(s)
	case answer.Err != nil:
		c.pauseHibernation(s, hibernateRetry(answer))
	default:
		c.pauseHibernation(s, hibernatePoll)
	}
	return nil
}
