package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Compute returns the status of a MiniCluster and the events to send once it is written. It keeps only the conditions
// Complete and Failed of the previous status.
func Compute(in Input) (v1alpha2.MiniClusterStatus, []Event) {
	status := *in.MiniCluster.Status.DeepCopy()
	status.ObservedGeneration = in.MiniCluster.Generation
	status.Selector = resources.Selector(in.MiniCluster)
	status.Size, status.ReadySize = 0, 0
	status.Conditions = slices.DeleteFunc(status.Conditions, isForeign)
	if in.Job != nil {
		// Without a Job the maximum may still change.
		status.MaximumSize = in.Fixed.Maximum
		status.JobID = string(in.Job.UID)
		status.Size, status.ReadySize = in.Job.Status.Active, ptr.Deref(in.Job.Status.Ready, 0)
		if ptr.Deref(in.LeadReady, false) {
			// The Job controller counts pods about a second later, and later yet where it counts those of many Jobs.
			status.Size, status.ReadySize = max(1, status.Size), max(1, status.ReadySize)
		}
	}
	switch h := in.Hibernation; {
	case h != nil:
		status.Hibernation = h.Status
		if h.Phase == HibernationStopped || h.Phase == HibernationWaking {
			status.MaximumSize = in.Fixed.Maximum // it may change
		}
	case in.Job != nil:
		status.Hibernation = nil // a Job that was deleted while it was about to hibernate is known until the next one exists
	}
	in.setConditions(&status)
	status.Drain, status.NodeDrains = in.Drain, in.NodeDrains
	if status.Finished() {
		status.Drain, status.NodeDrains, status.Hibernation = nil, nil, nil
	}
	return status, in.events(status)
}

// change is what differs between two statuses, as far as it decides when the new one is written.
type change int

const (
	// changeOther is a change of anything but readiness. It is written at once.
	changeOther change = iota
	// changeFirst is the first status of an accepted cluster that was not edited and whose Job waits for nothing but its
	// pods.
	changeFirst
	// changeReadiness is a change of a condition about readiness.
	changeReadiness
	// changeLead is that of a cluster that becomes ready before all of its pods are counted as ready.
	changeLead
	// changeNumbers is a change of numbers of pods alone, while pods start.
	changeNumbers
)

// changeOf returns what differs between two statuses.
func changeOf(before, after v1alpha2.MiniClusterStatus) change {
	switch {
	case isFirst(before) && after.JobID != "" && after.ObservedGeneration == FirstGeneration && podsStart(after) &&
		meta.IsStatusConditionTrue(after.Conditions, v1alpha2.ConditionAccepted):
		return changeFirst
	case !equality.Semantic.DeepEqual(withoutReadiness(before), withoutReadiness(after)):
		return changeOther
	case stillStarting(before, after):
		return changeNumbers
	case meta.IsStatusConditionTrue(after.Conditions, v1alpha2.ConditionReady) &&
		!meta.IsStatusConditionTrue(before.Conditions, v1alpha2.ConditionReady) && podsStart(after):
		return changeLead
	default:
		return changeReadiness
	}
}

// FirstGeneration is the generation of an object whose spec was never edited.
const FirstGeneration = 1

// isFirst reports whether no status was written before.
func isFirst(before v1alpha2.MiniClusterStatus) bool {
	return before.JobID == "" && len(before.Conditions) == 0
}

// startReason is the reason of a condition, the same for pods that do not exist and for those that are not ready.
func startReason(c *metav1.Condition) string {
	if c.Reason == v1alpha2.ReasonResizing {
		return v1alpha2.ReasonNotReady
	}
	return c.Reason
}

// stillStarting reports whether the pods of a cluster start, and it is ready or not for the same reason as before.
func stillStarting(before, after v1alpha2.MiniClusterStatus) bool {
	for _, kind := range []string{v1alpha2.ConditionReady, v1alpha2.ConditionProgressing} {
		b, a := meta.FindStatusCondition(before.Conditions, kind), meta.FindStatusCondition(after.Conditions, kind)
		if b == nil || a == nil || b.Status != a.Status || startReason(b) != startReason(a) {
			return false
		}
	}
	return meta.IsStatusConditionFalse(after.Conditions, v1alpha2.ConditionReady) || podsStart(after)
}

// podsStart reports whether a cluster waits for nothing but its pods.
func podsStart(status v1alpha2.MiniClusterStatus) bool {
	c := meta.FindStatusCondition(status.Conditions, v1alpha2.ConditionProgressing)
	return c != nil && c.Status == metav1.ConditionTrue && startReason(c) == v1alpha2.ReasonNotReady
}

func withoutReadiness(status v1alpha2.MiniClusterStatus) v1alpha2.MiniClusterStatus {
	status = *status.DeepCopy()
	status.Size, status.ReadySize = 0, 0
	if status.Drain != nil {
		status.Drain.ElapsedSeconds = 0
	}
	for _, k := range kinds() {
		if k.readiness {
			meta.RemoveStatusCondition(&status.Conditions, k.name)
		}
	}
	return status
}
