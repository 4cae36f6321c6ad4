package status

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Event is an event about a MiniCluster.
type Event struct {
	Type    string // corev1.EventTypeNormal or EventTypeWarning
	Reason  string
	Action  string
	Message string
}

// events are the events that report a change of the status.
func (in *Input) events(after v1alpha2.MiniClusterStatus) []Event {
	before := in.MiniCluster.Status
	var out []Event
	add := func(kind, reason, action string, c *metav1.Condition) {
		out = append(out, Event{Type: kind, Reason: reason, Action: action, Message: c.Message})
	}
	if c := changed(before, after, v1alpha2.ConditionAccepted); c != nil && c.Reason != v1alpha2.ReasonValid {
		add(corev1.EventTypeWarning, c.Reason, "Validate", c)
	}
	if c := changed(before, after, v1alpha2.ConditionScalingLimited); c != nil && c.Status == metav1.ConditionTrue {
		if isRejection(c) {
			add(corev1.EventTypeWarning, "ScaleRejected", "Resize", c)
		} else {
			add(corev1.EventTypeWarning, c.Reason, "Resize", c)
		}
	}
	if c := changed(before, after, v1alpha2.ConditionReady); c != nil {
		switch c.Reason {
		case v1alpha2.ReasonNameConflict, v1alpha2.ReasonCertificateLost, v1alpha2.ReasonConfigLost:
			add(corev1.EventTypeWarning, c.Reason, "Sync", c)
		}
	}
	progressing := changed(before, after, v1alpha2.ConditionProgressing)
	if c := progressing; c != nil && c.Reason == v1alpha2.ReasonNameConflict && !hasReason(after, v1alpha2.ConditionReady, c.Reason) {
		add(corev1.EventTypeWarning, c.Reason, "Sync", c)
	}
	// A problem is reported once, although its message may change.
	if p := in.Problem; p != nil && p.Actionable && hasReason(after, v1alpha2.ConditionProgressing, p.Reason) &&
		!hasReason(before, v1alpha2.ConditionProgressing, p.Reason) {
		add(corev1.EventTypeWarning, p.Reason, "Diagnose", meta.FindStatusCondition(after.Conditions, v1alpha2.ConditionProgressing))
	}
	if c := progressing; c != nil && c.Reason == v1alpha2.ReasonLabelRemoved {
		add(corev1.EventTypeWarning, c.Reason, "Sync", c)
	}
	if progressing != nil && drainBegins(before, after, progressing) {
		add(corev1.EventTypeNormal, progressing.Reason, "Resize", progressing)
	}
	out = append(out, hibernationEvents(before, after)...)
	if c := changed(before, after, v1alpha2.ConditionComplete); c != nil && c.Status == metav1.ConditionTrue {
		add(corev1.EventTypeNormal, c.Reason, "Finish", c)
	}
	if c := changed(before, after, v1alpha2.ConditionFailed); c != nil && c.Status == metav1.ConditionTrue {
		add(corev1.EventTypeWarning, c.Reason, "Finish", c)
	}
	return out
}

// drainBegins reports whether the condition Progressing reports a drain for the first time for the target size.
func drainBegins(before, after v1alpha2.MiniClusterStatus, progressing *metav1.Condition) bool {
	if progressing.Reason != v1alpha2.ReasonDraining || after.Drain == nil {
		return false
	}
	return before.Drain == nil || before.Drain.Size != after.Drain.Size
}

// changed returns a condition that differs from the previous one, nil if it does not. A rejected size is identified
// by the generation that requested it: if the same size is requested again, it is rejected and reported again.
func changed(before, after v1alpha2.MiniClusterStatus, kind string) *metav1.Condition {
	now := meta.FindStatusCondition(after.Conditions, kind)
	if now == nil {
		return nil
	}
	then := meta.FindStatusCondition(before.Conditions, kind)
	same := then != nil && then.Status == now.Status && then.Reason == now.Reason && then.Message == now.Message
	if same && kind == v1alpha2.ConditionScalingLimited && isRejection(now) {
		same = then.ObservedGeneration == now.ObservedGeneration
	}
	if same {
		return nil
	}
	return now
}

func hasReason(status v1alpha2.MiniClusterStatus, kind, reason string) bool {
	c := meta.FindStatusCondition(status.Conditions, kind)
	return c != nil && c.Reason == reason
}

func isRejection(c *metav1.Condition) bool {
	switch c.Reason {
	case v1alpha2.ReasonAboveMaximum, v1alpha2.ReasonBelowMinimum, v1alpha2.ReasonNotElastic, v1alpha2.ReasonUnschedulable:
		return true
	default:
		return false
	}
}
