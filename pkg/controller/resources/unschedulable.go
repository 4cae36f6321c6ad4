package resources

import (
	"encoding/json"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

const (
	// minSizeBackoff and maxSizeBackoff bound how long larger sizes are rejected after a size was reduced because pods
	// could not be scheduled. It doubles if that happens again soon.
	minSizeBackoff = 5 * time.Minute
	maxSizeBackoff = time.Hour
)

// ReducedSize is a size that was reduced because pods could not be scheduled.
type ReducedSize struct {
	// UID is that of the MiniCluster.
	UID types.UID `json:"uid"`
	// Size is the reduced size. Until Until, larger ones are rejected.
	Size  int32     `json:"size"`
	Until time.Time `json:"until"`
	// BackoffSeconds is the length of that time.
	BackoffSeconds int64 `json:"backoffSeconds"`
}

// recordedReduction returns the last reduction that a MiniCluster records; nil if there is none.
func recordedReduction(mc *v1alpha2.MiniCluster) *ReducedSize {
	var r ReducedSize
	text, ok := mc.Annotations[v1alpha2.AnnotationUnschedulableSize]
	if !ok || json.Unmarshal([]byte(text), &r) != nil || r.UID != mc.UID {
		return nil
	}
	return &r
}

// ReduceSize returns the reduction by a number of pods that cannot be scheduled, and the value of its annotation; nil
// if the size cannot be reduced.
func ReduceSize(mc *v1alpha2.MiniCluster, maximum, pods int32, now time.Time) (*ReducedSize, string, error) {
	size := max(mc.RequestedSize()-pods, mc.LowerBound(maximum), 1)
	if pods <= 0 || size >= mc.RequestedSize() {
		return nil, "", nil
	}
	backoff := minSizeBackoff
	if last := recordedReduction(mc); last != nil {
		before := time.Duration(last.BackoffSeconds) * time.Second
		if now.Before(last.Until.Add(before)) {
			backoff = min(max(2*before, minSizeBackoff), maxSizeBackoff)
		}
	}
	r := &ReducedSize{UID: mc.UID, Size: size, Until: now.Add(backoff).UTC().Truncate(time.Second), BackoffSeconds: int64(backoff / time.Second)}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, "", fmt.Errorf("encoding the reduced size: %w", err)
	}
	return r, string(text), nil
}

// CheckReduction checks a size that is within the bounds. Sizes above one that was reduced because pods could not be
// scheduled are rejected for some time, also those of an autoscaler: it would ask again at once.
func CheckReduction(mc *v1alpha2.MiniCluster, maximum int32, now time.Time) *SizeRejection {
	r, requested := recordedReduction(mc), mc.RequestedSize()
	if mc.Spec.ScaleUp == nil || mc.Spec.ScaleUp.UnschedulableTimeoutSeconds == 0 || r == nil || requested <= r.Size || !now.Before(r.Until) {
		return nil
	}
	granted := min(max(r.Size, mc.LowerBound(maximum)), maximum)
	if granted >= requested {
		return nil
	}
	return &SizeRejection{
		UID: mc.UID, Generation: mc.Generation, Requested: requested, Granted: granted, Bound: r.Size,
		Reason: v1alpha2.ReasonUnschedulable, Until: &r.Until,
	}
}

// Unschedulable returns for how long the scheduler has found no node for a pod; false if that is not so. A pod with
// scheduling gates, which Kueue sets until there is quota, does not count.
func Unschedulable(pod *corev1.Pod, now time.Time) (time.Duration, bool) {
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodPending {
		return 0, false
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return now.Sub(c.LastTransitionTime.Time), true
		}
	}
	return 0, false
}

// UnschedulableTimeout returns after which time a size is reduced; 0 for never.
func UnschedulableTimeout(mc *v1alpha2.MiniCluster, job *batchv1.Job) time.Duration {
	if mc.Spec.ScaleUp == nil || job == nil || Suspended(job) || FinishedCondition(job) != nil || job.DeletionTimestamp != nil {
		return 0
	}
	return time.Duration(mc.Spec.ScaleUp.UnschedulableTimeoutSeconds) * time.Second
}
