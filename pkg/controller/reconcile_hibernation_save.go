package controller

import (
	"cmp"
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// saveState asks the agent for the state to be saved, and records it once it is.
func (c *Controller) saveState(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus) error {
	runs, err := c.leadRuns(ctx, s)
	if err != nil {
		return err
	}
	if !runs {
		return c.recordHibernation(ctx, s, begun, nil)
	}
	request := control.Hibernate{Discard: discards(s.mc), Idle: begun.Cause == v1alpha2.CauseIdle}
	if begun.Deadline != nil {
		request.Deadline = begun.Deadline.Time
	}
	answer, err := c.askHibernation(ctx, s, request)
	if err != nil {
		return err
	}
	h := s.observed.Hibernation
	failure := saveFailure(s.mc, answer)
	switch {
	case answer == nil:
		h.Failed, h.Message = lastHibernation(s.mc)
		return nil
	case answer.Err != nil:
		return c.saveUnanswered(ctx, s, begun, answer)
	case failure != "" && begun.Deadline == nil:
		return c.postponeHibernation(ctx, s, begun, failure)
	case failure != "":
		h.Failed, h.Message = true, messages.SaveFailed(failure)
	case answer.State.Phase == control.PhaseSaved:
		return c.recordHibernation(ctx, s, begun, &answer.State)
	case answer.State.Phase == control.PhaseSaving:
		h.Message = messages.HibernationSaves
	case begun.Deadline == nil && (answer.State.Running > 0 || request.Idle && answer.State.Pending > 0):
		// A job was submitted since the agent reported none.
		begun.Cause = causeCanceled
		return c.cancelHibernation(ctx, s, begun)
	case answer.State.Running > 0:
		h.Message = messages.HibernationDrains(answer.State.Running, jobIDs(answer.State.RunningIDs), request.Deadline)
	}
	c.pauseHibernation(s, hibernatePoll)
	return nil
}

// saveFailure returns why the agent has not saved the state, "" if it has, or still may.
func saveFailure(mc *v1alpha2.MiniCluster, answer *agents.HibernateAnswer) string {
	switch {
	case answer == nil || answer.Err != nil:
		return ""
	case answer.State.Phase == control.PhaseSaved && answer.State.Location == "" && resources.KeepsState(mc):
		return messages.PodsWithoutState
	case answer.State.Phase == control.PhaseFailed:
		return cmp.Or(resources.Shorten(resources.Quote(answer.State.Message), maxAgentText), messages.SaveFailedUnknown)
	default:
		return ""
	}
}

// postponeHibernation lets a cluster continue that is idle, or would restart for changes: its state can't be saved, for
// example because the volume is full. Users may submit jobs meanwhile, and each attempt stops the broker.
func (c *Controller) postponeHibernation(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus, reason string) error {
	c.agents.PostponeHibernation(s.name(), s.mc.UID, reason)
	begun.Cause = causeCanceled
	return c.cancelHibernation(ctx, s, begun)
}

// isPostponed reports whether a hibernation that can wait is postponed, and reports that in the status.
func (c *Controller) isPostponed(s *syncState) bool {
	reason, until, after := c.agents.PostponedHibernation(s.name(), s.mc.UID)
	if after == 0 {
		return false
	}
	s.observed.Hibernation = &status.Hibernation{Phase: status.HibernationPostponed, Failed: true, Message: messages.SavePostponed(reason, until)}
	s.requeueAfter(after)
	return true
}

// maxAgentText limits what a message has of a text that the agent sent.
const maxAgentText = 512

// jobIDs returns the first IDs of jobs for a message. They come from a pod of the user.
func jobIDs(ids []string) []string {
	var named []string
	for _, id := range ids[:min(len(ids), 3)] {
		named = append(named, resources.Shorten(resources.Quote(id), 24))
	}
	return named
}

func discards(mc *v1alpha2.MiniCluster) bool {
	return mc.Spec.Hibernation != nil && mc.Spec.Hibernation.State == v1alpha2.HibernationDiscard
}

// saveUnanswered handles an agent that does not answer. The pods stay if there is a state to keep.
func (c *Controller) saveUnanswered(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus, answer *agents.HibernateAnswer) error {
	klog.FromContext(ctx).V(1).Info("The agent failed to save the state", "reason", resources.Quote(answer.Err.Error()))
	waited := answer.Permanent || answer.Failing >= max(c.agentUnreachableTimeout, hibernatePoll)
	expired := begun.Deadline == nil || !c.clock.Now().Before(begun.Deadline.Time)
	if !resources.KeepsState(s.mc) && waited && (answer.Permanent || expired) {
		return c.recordHibernation(ctx, s, begun, nil)
	}
	reason := resources.Shorten(resources.Quote(answer.Err.Error()), maxAgentText)
	if answer.Permanent && answer.Reached {
		reason = messages.AgentUnsuitable
	}
	h := s.observed.Hibernation
	h.Failed, h.Message = true, messages.SaveFailed(reason)
	c.pauseHibernation(s, hibernateRetry(answer))
	return nil
}

// hibernateRetry returns the time until the next request to an agent that does not answer. It doubles with each
// failure.
func hibernateRetry(answer *agents.HibernateAnswer) time.Duration {
	return min(hibernatePoll<<min(max(answer.Failures-1, 0), 10), maxHibernatePoll)
}

func (c *Controller) pauseHibernation(s *syncState, after time.Duration) {
	c.agents.PauseHibernation(s.name(), s.mc.UID, after)
	s.requeueAfter(after)
}

// lastHibernation returns what was reported of a hibernation last: whether the state could not be saved, and the
// message. It is reported until the next answer, so that a state that repeatedly can't be saved is reported once.
func lastHibernation(mc *v1alpha2.MiniCluster) (failed bool, message string) {
	last := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionHibernated)
	if last == nil || last.Reason != v1alpha2.ReasonHibernating && last.Reason != v1alpha2.ReasonSaveFailed {
		return false, messages.Hibernating
	}
	return last.Reason == v1alpha2.ReasonSaveFailed, last.Message
}

// leadRuns reports whether the lead broker may run. If the cache shows no lead, the pods are listed: what a broker has
// done must not be lost because a cache is behind.
func (c *Controller) leadRuns(ctx context.Context, s *syncState) (bool, error) {
	if resources.LeadElsewhere(s.mc) {
		return false, nil
	}
	if s.lead != nil && s.lead.Status.Phase == corev1.PodRunning {
		return true, nil
	}
	runs := false
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		index, ok := resources.PodIndex(pod)
		runs = runs || ok && index == 0 && pod.Status.Phase == corev1.PodRunning
	})
	return runs, err
}

// askHibernation sends a request to the agent and returns its answer, nil if there is none yet. In that case, the
// MiniCluster is synced again when the answer arrives or when the next request is due.
func (c *Controller) askHibernation(ctx context.Context, s *syncState, request control.Hibernate) (*agents.HibernateAnswer, error) {
	for {
		answer, ask, after := c.agents.TakeHibernation(s.name(), s.mc.UID, request)
		if answer != nil || !ask {
			s.requeueAfter(after)
			return answer, nil
		}
		connected, ip := c.agents.Connection(s.name(), s.mc.UID)
		if !connected {
			err := c.makeAgentClient(ctx, s)
			if errors.Is(err, control.ErrNoCredentials) {
				return &agents.HibernateAnswer{Err: err, Permanent: true}, nil
			}
			if err != nil {
				return nil, err
			}
		}
		if ip == "" {
			address, err := c.leadAddress(ctx, s)
			if err != nil {
				return nil, err
			}
			if address == "" {
				return c.agents.FailHibernation(s.name(), s.mc.UID, request, errors.New("the pod of the lead broker is not running")), nil
			}
			c.agents.SetAddress(s.name(), s.mc.UID, address)
		}
		c.agents.AskHibernation(s.name(), s.mc.UID, resources.ControlPort(s.job), request)
	}
}
