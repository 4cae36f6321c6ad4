package status

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		status.Size = in.Job.Status.Active
		if in.Job.Status.Ready != nil {
			status.ReadySize = *in.Job.Status.Ready
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

// Interval returns the time that a change of the status has to keep from the last write; 0 if anything but the
// readiness changes.
func Interval(before, after v1alpha2.MiniClusterStatus) time.Duration {
	switch {
	case !equality.Semantic.DeepEqual(withoutReadiness(before), withoutReadiness(after)):
		return 0
	case stillNotReady(before, after):
		return countInterval
	default:
		return readinessInterval
	}
}

// startReason is the reason of a condition, the same for pods that do not exist and for those that are not ready.
func startReason(c *metav1.Condition) string {
	if c.Reason == v1alpha2.ReasonResizing {
		return v1alpha2.ReasonNotReady
	}
	return c.Reason
}

// stillNotReady reports whether a cluster is not ready for the same reason as before.
func stillNotReady(before, after v1alpha2.MiniClusterStatus) bool {
	for _, kind := range []string{v1alpha2.ConditionReady, v1alpha2.ConditionProgressing} {
		b, a := meta.FindStatusCondition(before.Conditions, kind), meta.FindStatusCondition(after.Conditions, kind)
		if b == nil || a == nil || b.Status != a.Status || startReason(b) != startReason(a) {
			return false
		}
	}
	return meta.IsStatusConditionFalse(after.Conditions, v1alpha2.ConditionReady)
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
