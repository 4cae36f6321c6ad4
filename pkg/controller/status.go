package controller

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// newStatus makes the status of a MiniCluster from what a sync saw and from the
// error that ended it. Only the two ends, Complete and Failed, outlive what they
// were seen from.
func newStatus(s *syncState, err error) v1alpha2.MiniClusterStatus {
	status := *s.mc.Status.DeepCopy()
	status.ObservedGeneration = s.mc.Generation
	status.Selector = resources.Selector(s.mc)
	status.Size, status.ReadySize = 0, 0
	status.Conditions = slices.DeleteFunc(status.Conditions, notOurs)
	var terminal *terminalError
	if !errors.As(err, &terminal) || s.job != nil {
		status.MaximumSize = s.fixed.Maximum
	}
	if s.job != nil {
		status.JobID = string(s.job.UID)
		status.Size = s.job.Status.Active
		if s.job.Status.Ready != nil {
			status.ReadySize = *s.job.Status.Ready
		}
	}
	set := func(c *metav1.Condition) {
		if c == nil {
			return
		}
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = s.mc.Generation
		}
		meta.SetStatusCondition(&status.Conditions, *c)
	}
	if !status.Finished() {
		set(endCondition(s.job, s.seen.cause))
	}
	done := status.Finished()
	if !done {
		set(acceptedCondition(s, err))
	}
	if isBeside(err) {
		set(readyCondition(s, nil, &status, done))
	} else {
		set(readyCondition(s, err, &status, done))
	}
	set(progressingCondition(s, err, &status, done))
	status.Drain = s.seen.drain
	if done {
		status.Drain = nil
	}
	set(limitedCondition(s, &status))
	set(suspendedCondition(s.job))
	return status
}

// notOurs tells a condition that another controller left behind.
func notOurs(c metav1.Condition) bool {
	switch c.Type {
	case v1alpha2.ConditionAccepted, v1alpha2.ConditionReady, v1alpha2.ConditionProgressing, v1alpha2.ConditionScalingLimited,
		v1alpha2.ConditionSuspended, v1alpha2.ConditionComplete, v1alpha2.ConditionFailed:
		return false
	default:
		return true
	}
}

// endCondition is Complete or Failed once the Job is. The cause of a failure, where one
// is known, comes before the Job's own words.
func endCondition(job *batchv1.Job, cause string) *metav1.Condition {
	if job == nil {
		return nil
	}
	end := resources.FinishedCondition(job)
	switch {
	case end == nil:
		return nil
	case end.Type == batchv1.JobComplete:
		return condition(v1alpha2.ConditionComplete, true, v1alpha2.ReasonComplete, "the lead broker's program has ended with success")
	}
	message := strings.TrimSuffix(fmt.Sprintf("the Job has failed (%s): %s", end.Reason, end.Message), ": ")
	if cause != "" {
		message = cause + "; " + message
	}
	return condition(v1alpha2.ConditionFailed, true, v1alpha2.ReasonFailed, message)
}

func acceptedCondition(s *syncState, err error) *metav1.Condition {
	var terminal *terminalError
	switch {
	case errors.As(err, &terminal):
		return condition(v1alpha2.ConditionAccepted, false, terminal.reason, terminal.message)
	case s.seen.invalid != "":
		return condition(v1alpha2.ConditionAccepted, false, v1alpha2.ReasonInvalid, s.seen.invalid)
	case len(s.seen.edited) > 0:
		return condition(v1alpha2.ConditionAccepted, true, v1alpha2.ReasonImmutableFields, fmt.Sprintf(
			"ignored: %s changed after creation; only size, minSize, scaleDown and cleanup may change, so make the MiniCluster again for this to take effect",
			strings.Join(s.seen.edited, ", ")))
	}
	if lines := resources.IneffectiveFields(s.mc, s.fixed, s.environment); len(lines) > 0 {
		return condition(v1alpha2.ConditionAccepted, true, v1alpha2.ReasonFieldsWithoutEffect, resources.IneffectiveMessage(lines))
	}
	return condition(v1alpha2.ConditionAccepted, true, v1alpha2.ReasonValid, "the spec is valid")
}

func readyCondition(s *syncState, err error, status *v1alpha2.MiniClusterStatus, done bool) *metav1.Condition {
	no := func(reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionReady, false, reason, message)
	}
	var (
		held     *heldError
		terminal *terminalError
	)
	switch {
	case meta.IsStatusConditionTrue(status.Conditions, v1alpha2.ConditionComplete):
		return no(v1alpha2.ReasonComplete, "the work has ended with success")
	case done:
		return no(v1alpha2.ReasonFailed, "the work has failed")
	case errors.As(err, &terminal):
		return no(terminal.reason, terminal.message)
	case errors.As(err, &held):
		return no(v1alpha2.ReasonNameHeld, held.Error())
	case s.seen.certificateLost:
		return no(v1alpha2.ReasonCertificateLost, fmt.Sprintf(
			"Secret %q with the certificate of the running brokers is gone, and no pod can join them any more; delete Job %q to start again with a new certificate",
			resources.SecretName(s.mc), resources.JobName(s.mc)))
	case s.seen.configLost:
		return no(v1alpha2.ReasonConfigLost, s.configLostMessage())
	case s.job == nil:
		return no(v1alpha2.ReasonPodsNotReady, "the Job does not exist yet")
	case resources.Suspended(s.job):
		return no(v1alpha2.ReasonSuspended, "the Job is suspended")
	case status.ReadySize >= s.quorum():
		return condition(v1alpha2.ConditionReady, true, v1alpha2.ReasonPodsReady, readyMessage(s.job, status))
	case s.seen.problem != nil:
		return no(s.seen.problem.reason, readyMessage(s.job, status)+"; "+s.seen.problem.message())
	default:
		return no(v1alpha2.ReasonPodsNotReady, readyMessage(s.job, status))
	}
}

// quorum is the number of brokers with which the cluster works: what the lead waits for
// before it starts its program. It is never more than the Job's size; of a Job that we
// only took over we don't know it.
func (s *syncState) quorum() int32 {
	size := resources.Parallelism(s.job)
	if s.conf == nil || !resources.CreatedByController(s.job) {
		return size
	}
	recorded, err := strconv.ParseInt(s.conf.Data[resources.KeyQuorum], 10, 32)
	if err != nil || recorded < 1 {
		return size
	}
	return min(int32(recorded), size)
}

func readyMessage(job *batchv1.Job, status *v1alpha2.MiniClusterStatus) string {
	return fmt.Sprintf("%d of %d pods are ready", status.ReadySize, resources.Parallelism(job))
}

func progressingCondition(s *syncState, err error, status *v1alpha2.MiniClusterStatus, done bool) *metav1.Condition {
	is := func(progressing bool, reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionProgressing, progressing, reason, message)
	}
	var (
		held     *heldError
		wait     *waitError
		terminal *terminalError
	)
	switch {
	case done:
		return is(false, v1alpha2.ReasonFinished, "the work has ended")
	case errors.As(err, &terminal) && terminal.retry:
		return is(false, terminal.reason, "waiting for the spec, or the policy that refuses it, to be corrected; it is tried again at least once a minute")
	case errors.As(err, &terminal):
		return is(false, terminal.reason, "waiting for the spec to be corrected")
	case errors.As(err, &held):
		return is(true, v1alpha2.ReasonNameHeld, held.Error())
	case errors.As(err, &wait):
		return is(true, v1alpha2.ReasonWaiting, wait.message)
	case err != nil:
		return is(true, v1alpha2.ReasonRetrying, err.Error())
	case s.job == nil:
		return is(true, v1alpha2.ReasonPodsNotReady, "the Job does not exist yet")
	case resources.Suspended(s.job):
		return is(false, v1alpha2.ReasonSuspended, "the Job is suspended")
	case s.seen.draining != "":
		return is(true, v1alpha2.ReasonDraining, s.seen.draining)
	case s.seen.problem != nil:
		return is(true, s.seen.problem.reason, readyMessage(s.job, status)+"; "+s.seen.problem.message())
	case status.Size != resources.Parallelism(s.job) || resources.Terminating(s.job) > 0:
		return is(true, v1alpha2.ReasonResizing, resizingMessage(s.job, status))
	case status.ReadySize < resources.Parallelism(s.job):
		return is(true, v1alpha2.ReasonPodsNotReady, readyMessage(s.job, status))
	default:
		return is(false, v1alpha2.ReasonStable, readyMessage(s.job, status))
	}
}

func resizingMessage(job *batchv1.Job, status *v1alpha2.MiniClusterStatus) string {
	message := fmt.Sprintf("%d of %d pods exist", status.Size, resources.Parallelism(job))
	if n := resources.Terminating(job); n > 0 {
		message += fmt.Sprintf(", and %d more that are being stopped", n)
	}
	return message
}

func limitedCondition(s *syncState, status *v1alpha2.MiniClusterStatus) *metav1.Condition {
	is := func(reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionScalingLimited, true, reason, message)
	}
	requested := s.mc.RequestedSize()
	denied := resources.RecordedRejection(s.mc)
	switch {
	case lateWish(s, status):
		return is(v1alpha2.ReasonFinished, fmt.Sprintf("size %d was asked for after the work of the cluster had ended", requested))
	case denied != nil:
		return is(denied.Reason, denied.Message())
	case s.seen.growthRefused:
		return is(v1alpha2.ReasonCertificateLost, fmt.Sprintf("size %d is refused: new pods can't join brokers whose certificate is gone", requested))
	case s.seen.elsewhere != "":
		return is(v1alpha2.ReasonJobResizedElsewhere, s.seen.elsewhere)
	default:
		return condition(v1alpha2.ConditionScalingLimited, false, v1alpha2.ReasonWithinBounds, fmt.Sprintf("size %d was granted", requested))
	}
}

// lateWish tells whether a size was asked for after the end. The Job tells which
// size was granted last; when it is gone, any edit since the end counts.
func lateWish(s *syncState, status *v1alpha2.MiniClusterStatus) bool {
	var end *metav1.Condition
	for _, kind := range []string{v1alpha2.ConditionComplete, v1alpha2.ConditionFailed} {
		if c := meta.FindStatusCondition(status.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			end = c
		}
	}
	if end == nil {
		return false
	}
	if s.job != nil {
		applied, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationAppliedSize)
		return known && applied != s.mc.RequestedSize()
	}
	before := meta.FindStatusCondition(s.mc.Status.Conditions, v1alpha2.ConditionScalingLimited)
	return s.mc.Generation > end.ObservedGeneration || (before != nil && before.Reason == v1alpha2.ReasonFinished)
}

func suspendedCondition(job *batchv1.Job) *metav1.Condition {
	if job != nil && resources.Suspended(job) {
		return condition(v1alpha2.ConditionSuspended, true, v1alpha2.ReasonSuspended, "the Job is suspended")
	}
	return condition(v1alpha2.ConditionSuspended, false, v1alpha2.ReasonNotSuspended, "the Job is not suspended")
}

// maxMessage is the longest message that a condition may have.
const maxMessage = 32768

func condition(kind string, status bool, reason, message string) *metav1.Condition {
	value := metav1.ConditionFalse
	if status {
		value = metav1.ConditionTrue
	}
	return &metav1.Condition{Type: kind, Status: value, Reason: reason, Message: resources.Shorten(message, maxMessage)}
}
