package status

import (
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// setConditions sets all conditions in the order in which they depend on each other: Complete and Failed decide first.
func (in *Input) setConditions(status *v1alpha2.MiniClusterStatus) {
	set := func(c *metav1.Condition) {
		if c == nil {
			return
		}
		c.ObservedGeneration = in.MiniCluster.Generation
		meta.SetStatusCondition(&status.Conditions, *c)
	}
	if !status.Finished() {
		set(in.endCondition())
	}
	if !status.Finished() {
		set(in.accepted())
	}
	set(in.ready(status))
	set(in.progressing(status))
	set(in.scalingLimited(status))
	set(in.suspended())
	set(in.hibernated())
	switch a := in.Autoscaling; {
	case a == nil:
	case a.Removed:
		meta.RemoveStatusCondition(&status.Conditions, v1alpha2.ConditionAutoscaling)
	default:
		set(condition(v1alpha2.ConditionAutoscaling, a.Active, a.Reason, a.Message))
	}
	setGenericConditions(status, in.MiniCluster.Generation)
}

// kind describes conditions of one type.
type kind struct {
	name string
	// readiness: the condition changes with the number of ready pods. Its changes are written later than others.
	readiness bool
}

// kinds returns all conditions of the controller.
func kinds() []kind {
	return []kind{
		{v1alpha2.ConditionAccepted, false},
		{v1alpha2.ConditionReady, true},
		{v1alpha2.ConditionProgressing, true},
		{v1alpha2.ConditionScalingLimited, false},
		{v1alpha2.ConditionAutoscaling, false},
		{v1alpha2.ConditionSuspended, false},
		{v1alpha2.ConditionHibernated, false},
		{v1alpha2.ConditionComplete, false},
		{v1alpha2.ConditionFailed, false},
		{v1alpha2.ConditionStalled, false},
		{v1alpha2.ConditionReconciling, true},
	}
}

// isForeign reports whether a condition comes from another controller.
func isForeign(c metav1.Condition) bool {
	return !slices.ContainsFunc(kinds(), func(k kind) bool { return k.name == c.Type })
}

// endCondition returns the condition Complete or Failed of a finished Job, nil before.
func (in *Input) endCondition() *metav1.Condition {
	end := in.DeletedJobEnd
	if in.Job != nil {
		end = resources.FinishedCondition(in.Job)
	}
	switch {
	case in.JobDeleted:
		return condition(v1alpha2.ConditionFailed, true, v1alpha2.ReasonJobDeleted, messages.JobDeleted)
	case in.Lead.Unknown, end == nil && !in.Lead.Succeeded:
		return nil
	case in.Lead.Succeeded, end.Type == batchv1.JobComplete:
		return condition(v1alpha2.ConditionComplete, true, v1alpha2.ReasonComplete, messages.Completed(in.Lead.Sidecars, in.Lead.KeptBy))
	default:
		return condition(v1alpha2.ConditionFailed, true, v1alpha2.ReasonFailed, messages.Failed(in.FailureCause, end.Reason, end.Message))
	}
}

func (in *Input) accepted() *metav1.Condition {
	is := func(accepted bool, reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionAccepted, accepted, reason, message)
	}
	switch {
	case in.Outcome.Kind == Invalid:
		return is(false, in.Outcome.Reason, in.Outcome.Message)
	case in.Invalid != "":
		return is(false, v1alpha2.ReasonInvalid, in.Invalid)
	case len(in.Edited) > 0:
		return is(true, v1alpha2.ReasonImmutableFields, messages.ImmutableFields(in.Edited, resources.MutableFields()))
	}
	lines := resources.IneffectiveFields(in.MiniCluster, in.Fixed, in.Environment)
	if in.MisplacedLead != "" {
		lines = append(lines, messages.LeadMisplaced(in.MisplacedLead))
	}
	if len(lines) > 0 {
		return is(true, v1alpha2.ReasonFieldsWithoutEffect, messages.IneffectiveFields(lines))
	}
	return is(true, v1alpha2.ReasonValid, messages.SpecValid)
}

func (in *Input) ready(status *v1alpha2.MiniClusterStatus) *metav1.Condition {
	not := func(reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionReady, false, reason, message)
	}
	outcome := in.Outcome.Kind
	if in.Outcome.Auxiliary {
		outcome = Done
	}
	switch {
	case meta.IsStatusConditionTrue(status.Conditions, v1alpha2.ConditionComplete):
		// Tools wait until a condition Ready is true, and nothing else will happen.
		return condition(v1alpha2.ConditionReady, true, v1alpha2.ReasonComplete, messages.WorkComplete)
	case status.Finished():
		return not(v1alpha2.ReasonFailed, messages.WorkFailed)
	case outcome == Invalid:
		return not(in.Outcome.Reason, in.Outcome.Message)
	case outcome == NameConflict:
		return not(v1alpha2.ReasonNameConflict, in.Outcome.Message)
	case in.CertificateLost:
		return not(v1alpha2.ReasonCertificateLost, messages.CertificateLost(resources.JobSecretName(in.MiniCluster, in.Job), in.restart()))
	case in.ConfigLost:
		return not(v1alpha2.ReasonConfigLost,
			messages.ConfigLost(resources.ConfigMapName(in.MiniCluster), in.restart(), in.Edited))
	case in.stopped():
		// Tools wait until a condition Ready is true, and the cluster is as the spec says.
		return condition(v1alpha2.ConditionReady, true, in.Hibernation.stoppedReason(), in.Hibernation.stoppedMessage())
	case in.Job == nil:
		return not(v1alpha2.ReasonNotReady, messages.JobMissing)
	case resources.Suspended(in.Job):
		return not(v1alpha2.ReasonSuspended, messages.Suspended)
	case in.works(status):
		return condition(v1alpha2.ConditionReady, true, v1alpha2.ReasonReady, in.podsReady(status))
	case in.Problem != nil:
		return not(in.Problem.Reason, in.podsReady(status)+"; "+in.Problem.Message)
	case in.LeadReady != nil:
		return not(v1alpha2.ReasonNotReady, messages.LeadNotReady(in.podsReady(status)))
	default:
		return not(v1alpha2.ReasonNotReady, in.podsReady(status))
	}
}

// restart says how the user starts the brokers again.
func (in *Input) restart() string {
	return messages.Restart(resources.JobName(in.MiniCluster), !fluxconfig.RunsProgram(in.MiniCluster))
}

// works reports whether the brokers work: the lead is ready, which it is when it has its quorum. As long as it runs,
// the number of ready pods does not matter. If the state of the lead is unknown, the number of ready pods decides.
func (in *Input) works(status *v1alpha2.MiniClusterStatus) bool {
	if in.LeadReady != nil {
		return *in.LeadReady
	}
	return status.ReadySize >= in.quorum()
}

// quorum returns the number of brokers that the cluster needs: the lead waits for them before it starts its program.
// It never exceeds the size of the Job. The quorum of a Job of another controller is unknown.
func (in *Input) quorum() int32 {
	size := resources.Parallelism(in.Job)
	if in.ConfigMap == nil || !resources.CreatedByController(in.Job) {
		return size
	}
	recorded, err := strconv.ParseInt(in.ConfigMap.Data[resources.KeyQuorum], 10, 32)
	if err != nil || recorded < 1 {
		return size
	}
	return min(int32(recorded), size)
}

func (in *Input) podsReady(status *v1alpha2.MiniClusterStatus) string {
	return messages.PodsReady(status.ReadySize, resources.Parallelism(in.Job))
}

func (in *Input) progressing(status *v1alpha2.MiniClusterStatus) *metav1.Condition {
	is := func(progressing bool, reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionProgressing, progressing, reason, message)
	}
	switch outcome := in.Outcome.Kind; {
	case status.Finished():
		return is(false, v1alpha2.ReasonFinished, messages.WorkFinished)
	case outcome == Invalid && in.Outcome.Retried:
		return is(false, in.Outcome.Reason, messages.WaitForPolicy)
	case outcome == Invalid:
		return is(false, in.Outcome.Reason, messages.WaitForSpec)
	case outcome == NameConflict:
		return is(true, v1alpha2.ReasonNameConflict, in.Outcome.Message)
	case outcome == Waiting:
		return is(true, v1alpha2.ReasonWaiting, in.Outcome.Message)
	case outcome == Retrying:
		return is(true, v1alpha2.ReasonRetrying, in.Outcome.Message)
	case in.stopped():
		return is(false, in.Hibernation.stoppedReason(), in.Hibernation.stoppedMessage())
	case in.Job == nil:
		return is(true, v1alpha2.ReasonNotReady, messages.JobMissing)
	case in.Hibernation != nil && in.Hibernation.Phase == HibernationStopping && in.Hibernation.Message != "":
		return is(true, v1alpha2.ReasonHibernating, in.Hibernation.Message)
	case resources.Suspended(in.Job):
		return is(false, v1alpha2.ReasonSuspended, messages.Suspended)
	case in.Draining != "":
		return is(true, v1alpha2.ReasonDraining, in.Draining)
	case in.Problem != nil:
		return is(true, in.Problem.Reason, in.podsReady(status)+"; "+in.Problem.Message)
	}
	size, terminating := resources.Parallelism(in.Job), resources.Terminating(in.Job)
	switch {
	case status.Size != size || terminating > 0:
		return is(true, v1alpha2.ReasonResizing, messages.Resizing(status.Size, size, terminating))
	case status.ReadySize < size:
		return is(true, v1alpha2.ReasonNotReady, in.podsReady(status))
	case len(in.Unlabeled) > 0:
		return is(false, v1alpha2.ReasonLabelRemoved, messages.Unlabeled(in.Unlabeled, v1alpha2.LabelController))
	default:
		return is(false, v1alpha2.ReasonStable, in.podsReady(status))
	}
}

func (in *Input) scalingLimited(status *v1alpha2.MiniClusterStatus) *metav1.Condition {
	is := func(reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionScalingLimited, true, reason, message)
	}
	requested := in.MiniCluster.RequestedSize()
	rejection := resources.RecordedRejection(in.MiniCluster)
	switch {
	case in.requestedAfterEnd(status):
		return is(v1alpha2.ReasonFinished, messages.SizeAfterEnd(requested))
	case rejection != nil:
		return is(rejection.Reason, rejection.Message())
	case in.GrowthRejected:
		return is(v1alpha2.ReasonCertificateLost, messages.SizeWithoutCertificate(requested))
	case in.ResizedExternally != "":
		return is(v1alpha2.ReasonJobResizedExternally, in.ResizedExternally)
	case in.Job == nil || resources.Parallelism(in.Job) != requested || resources.Completions(in.Job) != requested:
		return condition(v1alpha2.ConditionScalingLimited, false, v1alpha2.ReasonWithinBounds, messages.SizeWithinBounds(requested))
	default:
		return condition(v1alpha2.ConditionScalingLimited, false, v1alpha2.ReasonWithinBounds, messages.SizeGranted(requested))
	}
}

// requestedAfterEnd reports whether a size was requested after the end. The Job records the size that was granted
// last; without a Job, any edit since the end counts.
func (in *Input) requestedAfterEnd(status *v1alpha2.MiniClusterStatus) bool {
	var end *metav1.Condition
	for _, kind := range []string{v1alpha2.ConditionComplete, v1alpha2.ConditionFailed} {
		if c := meta.FindStatusCondition(status.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			end = c
		}
	}
	if end == nil {
		return false
	}
	if in.Job != nil {
		applied, known := resources.SizeAnnotation(in.Job.Annotations, v1alpha2.AnnotationAppliedSize)
		return known && applied != in.MiniCluster.RequestedSize()
	}
	before := meta.FindStatusCondition(in.MiniCluster.Status.Conditions, v1alpha2.ConditionScalingLimited)
	return in.MiniCluster.Generation > end.ObservedGeneration || (before != nil && before.Reason == v1alpha2.ReasonFinished)
}

func (in *Input) suspended() *metav1.Condition {
	if in.stopped() {
		return condition(v1alpha2.ConditionSuspended, true, v1alpha2.ReasonSuspended, in.Hibernation.cause())
	}
	if in.Job != nil && resources.Suspended(in.Job) {
		return condition(v1alpha2.ConditionSuspended, true, v1alpha2.ReasonSuspended, messages.Suspended)
	}
	return condition(v1alpha2.ConditionSuspended, false, v1alpha2.ReasonNotSuspended, messages.NotSuspended)
}

// maxMessage is the maximal length of the message of a condition.
const maxMessage = 32768

func condition(kind string, status bool, reason, message string) *metav1.Condition {
	value := metav1.ConditionFalse
	if status {
		value = metav1.ConditionTrue
	}
	return &metav1.Condition{Type: kind, Status: value, Reason: reason, Message: resources.Shorten(message, maxMessage)}
}
