package controller

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// restartPoll is how often the agent is asked whether jobs run, while changes wait for that.
const restartPoll = 5 * time.Second

// idleCause returns why a cluster would hibernate when it is idle, "" if it would not. Changes are applied only if the
// cluster starts with them.
func (s *syncState) idleCause() v1alpha2.HibernationCause {
	h := s.mc.Spec.Hibernation
	switch {
	case h == nil:
		return ""
	case s.restartsForChanges() && s.observed.Invalid == "":
		return v1alpha2.CauseChanges
	case h.IdleTimeoutSeconds > 0:
		return v1alpha2.CauseIdle
	default:
		return ""
	}
}

// restartsForChanges reports whether changes of the spec wait for a restart.
func (s *syncState) restartsForChanges() bool {
	h := s.mc.Spec.Hibernation
	return h != nil && h.RestartForChanges == v1alpha2.RestartWhenIdle && len(s.observed.Edited) > 0
}

// askIdle asks the agent whether the cluster is idle, and returns the cause if it is. It asks rarely: a cluster that
// has been idle for some time is not idle for long enough before the rest of the time has passed.
func (c *Controller) askIdle(ctx context.Context, s *syncState, cause v1alpha2.HibernationCause) (v1alpha2.HibernationCause, error) {
	if s.lead == nil || !resources.PodReady(s.lead) || resources.Suspended(s.job) {
		return "", nil // an event reports when it is ready
	}
	answer, err := c.askHibernation(ctx, s, control.Hibernate{Query: true})
	if err != nil || answer == nil || answer.Permanent {
		return "", err
	}
	if answer.Err != nil {
		klog.FromContext(ctx).V(1).Info("The agent failed to report whether jobs run", "reason", resources.Quote(answer.Err.Error()))
		c.pauseHibernation(s, maxHibernatePoll)
		return "", nil //nolint:nilerr // it is not known yet, and is asked again
	}
	idle := time.Duration(max(0, answer.State.IdleSeconds)) * time.Second
	timeout := time.Duration(s.mc.Spec.Hibernation.IdleTimeoutSeconds) * time.Second
	switch {
	case cause == v1alpha2.CauseChanges && answer.State.Running == 0, cause == v1alpha2.CauseIdle && idle >= timeout:
		return cause, nil
	case cause == v1alpha2.CauseChanges:
		c.pauseHibernation(s, restartPoll)
	default:
		c.pauseHibernation(s, max(hibernatePoll, timeout-idle))
	}
	return "", nil
}
