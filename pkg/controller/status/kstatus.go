package status

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// setGenericConditions sets the conditions that tools which know no MiniClusters read
// (kstatus): Stalled or Reconciling, never both, and each only while it is true. They
// follow from the other conditions, which are set before.
func setGenericConditions(status *v1alpha2.MiniClusterStatus, generation int64) {
	kind, cause := genericCondition(status)
	for _, other := range []string{v1alpha2.ConditionStalled, v1alpha2.ConditionReconciling} {
		if other != kind || cause == nil {
			meta.RemoveStatusCondition(&status.Conditions, other)
		}
	}
	if cause != nil {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: cause.Reason, Message: cause.Message, ObservedGeneration: generation,
		})
	}
}

// genericCondition returns the type of the generic condition that is true and the condition
// that it follows from; nil where none is. A cluster that is ready is not reconciling while
// it changes its size: its programs run, and a size that an autoscaler requests may never
// fit.
func genericCondition(status *v1alpha2.MiniClusterStatus) (kind string, cause *metav1.Condition) {
	is := func(kind string, value metav1.ConditionStatus) *metav1.Condition {
		if c := meta.FindStatusCondition(status.Conditions, kind); c != nil && c.Status == value {
			return c
		}
		return nil
	}
	if is(v1alpha2.ConditionComplete, metav1.ConditionTrue) != nil {
		return "", nil
	}
	if failed := is(v1alpha2.ConditionFailed, metav1.ConditionTrue); failed != nil {
		return v1alpha2.ConditionStalled, failed
	}
	if refused := is(v1alpha2.ConditionAccepted, metav1.ConditionFalse); refused != nil {
		return v1alpha2.ConditionStalled, refused
	}
	unready := is(v1alpha2.ConditionReady, metav1.ConditionFalse)
	if unready == nil {
		return "", nil
	}
	if unready.Reason == v1alpha2.ReasonCertificateLost || unready.Reason == v1alpha2.ReasonConfigLost {
		return v1alpha2.ConditionStalled, unready
	}
	return v1alpha2.ConditionReconciling, is(v1alpha2.ConditionProgressing, metav1.ConditionTrue)
}
