package status

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// HibernationPhase is the progress of a hibernation.
type HibernationPhase int

// Phases of a hibernation.
const (
	// HibernationNotStarted: the cluster was never started.
	HibernationNotStarted HibernationPhase = iota
	// HibernationStopping: the Job exists.
	HibernationStopping
	// HibernationStopped: the Job was deleted on purpose.
	HibernationStopped
	// HibernationWaking: another Job is about to be created.
	HibernationWaking
	// HibernationPostponed: the cluster runs, because its state could not be saved and it need not hibernate now.
	HibernationPostponed
)

// Hibernation is a cluster that has no Job on purpose, or is about to lose it.
type Hibernation struct {
	Phase HibernationPhase
	// Cause is why it has none.
	Cause v1alpha2.HibernationCause
	// Message is the progress of the phases Stopping and Postponed. Failed: the state can't be saved.
	Message string
	Failed  bool
	// Discarded: the spec says that no state is kept.
	Discarded bool
	// Record is what the ConfigMap records; nil in the phases NotStarted, Stopping and Postponed.
	Record *resources.HibernationRecord
	// Status becomes status.hibernation; nil in the phases NotStarted and Postponed.
	Status *v1alpha2.HibernationStatus
}

// stopped reports whether a cluster has no Job on purpose.
func (in *Input) stopped() bool {
	h := in.Hibernation
	return h != nil && (h.Phase == HibernationNotStarted || h.Phase == HibernationStopped)
}

// kept reports whether the state of a cluster without a Job is kept.
func (h *Hibernation) kept() bool { return h.Record != nil && h.Record.Kept }

// stoppedReason is the reason of the conditions Ready and Progressing of a cluster without a Job.
func (h *Hibernation) stoppedReason() string {
	if h.kept() {
		return v1alpha2.ReasonHibernated
	}
	return v1alpha2.ReasonSuspended
}

// stoppedMessage describes a cluster without a Job.
func (h *Hibernation) stoppedMessage() string {
	switch r := h.Record; {
	case r == nil:
		return messages.NotStarted(h.cause())
	case r.Kept && r.Unknown:
		return messages.HibernatedUnknown
	case r.Kept:
		return messages.Hibernated(r.Pending, r.Held, r.Location, r.Canceled)
	default:
		return messages.NothingKept(h.Discarded, r.Canceled)
	}
}

func (h *Hibernation) cause() string {
	switch h.Cause {
	case v1alpha2.CauseScaledToZero:
		return messages.StoppedBySize
	case v1alpha2.CauseIdle:
		return messages.StoppedIdle
	default:
		return messages.StoppedBySuspend
	}
}

// hibernated returns the condition Hibernated, nil for a cluster that never hibernated.
func (in *Input) hibernated() *metav1.Condition {
	is := func(hibernated bool, reason, message string) *metav1.Condition {
		return condition(v1alpha2.ConditionHibernated, hibernated, reason, message)
	}
	h := in.Hibernation
	switch {
	case h == nil && (in.Job == nil || meta.FindStatusCondition(in.MiniCluster.Status.Conditions, v1alpha2.ConditionHibernated) == nil):
		return nil
	case h == nil:
		return is(false, v1alpha2.ReasonAwake, messages.Awake)
	case h.Phase == HibernationNotStarted:
		return is(false, v1alpha2.ReasonNotStarted, h.stoppedMessage())
	case h.Phase == HibernationWaking:
		return is(false, v1alpha2.ReasonWaking, messages.Waking)
	case h.Phase == HibernationStopping && h.Failed, h.Phase == HibernationPostponed:
		return is(false, v1alpha2.ReasonSaveFailed, h.Message)
	case h.Phase == HibernationStopping:
		return is(false, v1alpha2.ReasonHibernating, h.Message)
	case h.kept():
		return is(true, v1alpha2.ReasonHibernated, h.stoppedMessage())
	default:
		return is(false, v1alpha2.ReasonNothingKept, h.stoppedMessage())
	}
}

// hibernationEvents are the events that report a change of the condition Hibernated. A message that changes is none.
func hibernationEvents(before, after v1alpha2.MiniClusterStatus) []Event {
	c := meta.FindStatusCondition(after.Conditions, v1alpha2.ConditionHibernated)
	if c == nil || c.Reason == v1alpha2.ReasonNotStarted || hasReason(before, v1alpha2.ConditionHibernated, c.Reason) {
		return nil
	}
	kind := corev1.EventTypeNormal
	if c.Reason == v1alpha2.ReasonSaveFailed || c.Reason == v1alpha2.ReasonNothingKept {
		kind = corev1.EventTypeWarning
	}
	return []Event{{Type: kind, Reason: c.Reason, Action: "Hibernate", Message: c.Message}}
}
