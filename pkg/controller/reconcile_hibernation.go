package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain/agents"
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
	return c.askIdle(ctx, s, cause)
}

// beginHibernation returns the status of a hibernation that begins, or whose cause changed.
func (c *Controller) beginHibernation(s *syncState, begun *v1alpha2.HibernationStatus, cause v1alpha2.HibernationCause) *v1alpha2.HibernationStatus {
	next := &v1alpha2.HibernationStatus{Since: metav1.NewTime(c.clock.Now().Truncate(time.Second)), Cause: cause}
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

// saveState asks the agent for the state to be saved, and records it once it is.
func (c *Controller) saveState(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus) error {
	runs, err := c.leadRuns(ctx, s)
	if err != nil {
		return err
	}
	if !runs {
		return c.recordHibernation(ctx, s, begun, nil)
	}
	request := control.Hibernate{Discard: discards(s.mc)}
	if begun.Deadline != nil {
		request.Deadline = begun.Deadline.Time
	}
	answer, err := c.askHibernation(ctx, s, request)
	if err != nil {
		return err
	}
	h := s.observed.Hibernation
	switch {
	case answer == nil:
		h.Failed, h.Message = lastHibernation(s.mc)
		return nil
	case answer.Err != nil:
		return c.saveUnanswered(ctx, s, begun, answer)
	case answer.State.Phase == control.PhaseSaved && answer.State.Location == "" && resources.KeepsState(s.mc):
		h.Failed, h.Message = true, messages.SaveFailed(messages.PodsWithoutState)
	case answer.State.Phase == control.PhaseSaved:
		return c.recordHibernation(ctx, s, begun, &answer.State)
	case answer.State.Phase == control.PhaseFailed:
		h.Failed, h.Message = true, messages.SaveFailed(resources.Shorten(resources.Quote(answer.State.Message), maxAgentText))
	case answer.State.Phase == control.PhaseSaving:
		h.Message = messages.HibernationSaves
	case answer.State.Running > 0 && begun.Deadline == nil:
		return c.cancelHibernation(ctx, s, begun) // a job has started since
	case answer.State.Running > 0:
		h.Message = messages.HibernationDrains(answer.State.Running, jobIDs(answer.State.RunningIDs), request.Deadline)
	}
	c.pauseHibernation(s, hibernatePoll)
	return nil
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
	c.pauseHibernation(s, min(hibernatePoll<<min(max(answer.Failures-1, 0), 10), maxHibernatePoll))
	return nil
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

// cancelHibernation lets a cluster run again that had begun to hibernate. The other steps do not wait for that. A lead
// that does not run now finds the marker when it starts, so it has to be asked, too.
func (c *Controller) cancelHibernation(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus) error {
	s.observed.Hibernation = &status.Hibernation{
		Phase: status.HibernationStopping, Cause: begun.Cause, Message: messages.HibernationCancels, Status: begun,
	}
	s.stopped = false
	answer, err := c.askHibernation(ctx, s, control.Hibernate{Cancel: true})
	switch {
	case err != nil || answer == nil:
		return err
	case answer.Err == nil && answer.State.Phase == control.PhaseRunning, answer.Permanent:
		s.observed.Hibernation = nil
	case answer.Err != nil:
		c.pauseHibernation(s, min(hibernatePoll<<min(max(answer.Failures-1, 0), 10), maxHibernatePoll))
	default:
		c.pauseHibernation(s, hibernatePoll)
	}
	return nil
}

// recordHibernation records in the ConfigMap that the state is saved, and then deletes the Job. state is nil if no
// broker ran.
func (c *Controller) recordHibernation(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus, state *control.HibernateState) error {
	before := resources.RecordedHibernation(s.configMap)
	record := resources.NewHibernationRecord(s.fixed, s.job, *begun, state, before, c.clock.Now())
	if state == nil {
		record.Kept = resources.KeepsState(s.mc)
	}
	if err := c.writeHibernation(ctx, s, record); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Recorded the hibernation", "cause", record.Cause, "kept", record.Kept, "pending", record.Pending, "held", record.Held,
		"bytes", record.Bytes, "location", record.Location)
	return c.deleteHibernatedJob(ctx, s, record)
}

// writeHibernation writes the record into the ConfigMap.
func (c *Controller) writeHibernation(ctx context.Context, s *syncState, record *resources.HibernationRecord) error {
	text, err := record.Annotation()
	if err != nil {
		return err
	}
	if s.configMap == nil {
		return c.replaceConfigMap(ctx, s, text)
	}
	return c.patchConfigMap(ctx, s, map[string]any{"metadata": map[string]any{
		"uid": s.configMap.UID, "annotations": map[string]string{v1alpha2.AnnotationHibernation: text},
	}})
}

// replaceConfigMap creates a ConfigMap with the record, if it was lost and the spec has changed since the Job was
// created. No broker will read it any more.
func (c *Controller) replaceConfigMap(ctx context.Context, s *syncState, record string) error {
	wanted, err := resources.BuildConfigMap(s.mc, s.fixed, c.environment, resources.Parallelism(s.job), nil)
	if err != nil {
		return err
	}
	wanted.Annotations[v1alpha2.AnnotationHibernation] = record
	client := c.kube.CoreV1().ConfigMaps(s.mc.Namespace)
	configMap, created, err := createOwned(ctx, c, s, client, configmaps, wanted, ownership[*corev1.ConfigMap]{})
	if err == nil && !created {
		return stale(configmaps) // it has no record
	}
	s.configMap = configMap
	return err
}

// deleteHibernatedJob deletes a Job that the record names, and no other one.
func (c *Controller) deleteHibernatedJob(ctx context.Context, s *syncState, record *resources.HibernationRecord) error {
	s.stop(&status.Hibernation{
		Phase: status.HibernationStopping, Cause: record.Cause, Message: messages.HibernationDeletes, Status: record.Status(),
	})
	s.observed.Drain = nil
	if s.job.DeletionTimestamp != nil {
		return nil
	}
	err := c.kube.BatchV1().Jobs(s.job.Namespace).Delete(ctx, s.job.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &s.job.UID},
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if ignoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting the Job of a MiniCluster that hibernates: %w", err)
	}
	c.agents.Forget(s.name())
	return c.deleteStoppedServicesPod(ctx, s)
}

// deleteStoppedServicesPod deletes the services pod of a cluster that does not run.
func (c *Controller) deleteStoppedServicesPod(ctx context.Context, s *syncState) error {
	pod := s.servicesPod
	if pod == nil || pod.DeletionTimestamp != nil || !metav1.IsControlledBy(pod, s.mc) {
		return nil
	}
	return c.deleteServicesPod(ctx, s, "the cluster hibernates")
}
