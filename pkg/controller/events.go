package controller

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// event is an event about a MiniCluster.
type event struct {
	kind    string // corev1.EventTypeNormal or EventTypeWarning
	reason  string
	action  string
	message string
}

// maxNote is the longest text of an event, in bytes: the API server refuses a longer one, and nobody would hear of it.
const maxNote = 1024

// shortNotes shortens the texts of events.
type shortNotes struct{ events.EventRecorder }

// Eventf records an event.
func (r shortNotes) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	r.EventRecorder.Eventf(regarding, related, kind, reason, action, "%s", resources.Shorten(fmt.Sprintf(note, args...), maxNote))
}

// statusEvents are the events that a change of the status stands for.
func statusEvents(before, after v1alpha2.MiniClusterStatus) []event {
	var out []event
	add := func(kind, reason, action string, c *metav1.Condition) {
		out = append(out, event{kind: kind, reason: reason, action: action, message: c.Message})
	}
	if c := news(before, after, v1alpha2.ConditionAccepted); c != nil && c.Reason != v1alpha2.ReasonValid {
		add(corev1.EventTypeWarning, c.Reason, "Validate", c)
	}
	if c := news(before, after, v1alpha2.ConditionScalingLimited); c != nil && c.Status == metav1.ConditionTrue {
		switch c.Reason {
		case v1alpha2.ReasonAboveMaximum, v1alpha2.ReasonBelowMinimum:
			add(corev1.EventTypeWarning, "ScaleDenied", "Resize", c)
		default:
			add(corev1.EventTypeWarning, c.Reason, "Resize", c)
		}
	}
	if c := news(before, after, v1alpha2.ConditionReady); c != nil {
		switch c.Reason {
		case v1alpha2.ReasonNameHeld, v1alpha2.ReasonCertificateLost, v1alpha2.ReasonConfigLost:
			add(corev1.EventTypeWarning, c.Reason, "Sync", c)
		}
	}
	if c := news(before, after, v1alpha2.ConditionProgressing); c != nil && c.Reason == v1alpha2.ReasonNameHeld && !sameReason(after, v1alpha2.ConditionReady, c) {
		add(corev1.EventTypeWarning, c.Reason, "Sync", c)
	}
	// The message of a problem changes while it stays the same one.
	if c := meta.FindStatusCondition(after.Conditions, v1alpha2.ConditionProgressing); c != nil && isProblem(c) && !sameReason(before, v1alpha2.ConditionProgressing, c) {
		add(corev1.EventTypeWarning, c.Reason, "Look", c)
	}
	if c := drainBegins(before, after); c != nil {
		add(corev1.EventTypeNormal, c.Reason, "Resize", c)
	}
	if c := news(before, after, v1alpha2.ConditionComplete); c != nil && c.Status == metav1.ConditionTrue {
		add(corev1.EventTypeNormal, c.Reason, "Finish", c)
	}
	if c := news(before, after, v1alpha2.ConditionFailed); c != nil && c.Status == metav1.ConditionTrue {
		add(corev1.EventTypeWarning, c.Reason, "Finish", c)
	}
	return out
}

// drainBegins returns the condition Progressing when it first tells of a wait before
// the Job shrinks to a size.
func drainBegins(before, after v1alpha2.MiniClusterStatus) *metav1.Condition {
	c := news(before, after, v1alpha2.ConditionProgressing)
	if c == nil || c.Reason != v1alpha2.ReasonDraining || after.Drain == nil {
		return nil
	}
	if before.Drain != nil && before.Drain.Size == after.Drain.Size {
		return nil
	}
	return c
}

// news returns a condition that says something else than before. A denied size
// counts by the generation that asked for it: the same size asked for again is
// denied, and told, again.
func news(before, after v1alpha2.MiniClusterStatus, kind string) *metav1.Condition {
	now := meta.FindStatusCondition(after.Conditions, kind)
	if now == nil {
		return nil
	}
	then := meta.FindStatusCondition(before.Conditions, kind)
	same := then != nil && then.Status == now.Status && then.Reason == now.Reason && then.Message == now.Message
	if same && kind == v1alpha2.ConditionScalingLimited && isDenial(now) {
		same = then.ObservedGeneration == now.ObservedGeneration
	}
	if same {
		return nil
	}
	return now
}

// isProblem tells whether a condition names something that a user has to help.
func isProblem(c *metav1.Condition) bool {
	return weight(c.Reason) > weight(v1alpha2.ReasonPulling)
}

// sameReason tells whether another condition has the reason of this one.
func sameReason(status v1alpha2.MiniClusterStatus, kind string, c *metav1.Condition) bool {
	other := meta.FindStatusCondition(status.Conditions, kind)
	return other != nil && other.Reason == c.Reason
}

func isDenial(c *metav1.Condition) bool {
	return c.Reason == v1alpha2.ReasonAboveMaximum || c.Reason == v1alpha2.ReasonBelowMinimum
}
