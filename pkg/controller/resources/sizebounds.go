package resources

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
)

// SizeRejection is a size that was not granted. It is written to the MiniCluster in the
// same patch that puts the size back, so that it can be reported even if the
// controller is killed right after.
type SizeRejection struct {
	// UID of the MiniCluster: a copy of it, annotations and all, was denied nothing.
	UID types.UID `json:"uid"`
	// Generation of the spec that asked for the size.
	Generation int64 `json:"generation"`
	// Requested is the size that was asked for.
	Requested int32 `json:"requested"`
	// Granted is the size to which spec.size was reset.
	Granted int32 `json:"granted"`
	// Bound is the maximum or minimum that was violated.
	Bound int32 `json:"bound"`
	// Reason is ReasonAboveMaximum or ReasonBelowMinimum.
	Reason string `json:"reason"`
}

// Message says which size was rejected and which bound it violates.
func (d *SizeRejection) Message() string {
	if d.Reason == v1alpha2.ReasonAboveMaximum {
		return messages.AboveMaximum(d.Requested, d.Bound, d.Granted)
	}
	return messages.BelowMinimum(d.Requested, d.Bound, d.Granted)
}

// Annotation is the rejection as the value of AnnotationDeniedSize.
func (d *SizeRejection) Annotation() (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encoding the denied size: %w", err)
	}
	return string(text), nil
}

// RecordedRejection returns the denial that a MiniCluster carries, as long as it is the
// last thing that happened to the spec: putting the size back made the next
// generation, and any edit after that is a new wish.
func RecordedRejection(mc *v1alpha2.MiniCluster) *SizeRejection {
	text, ok := mc.Annotations[v1alpha2.AnnotationDeniedSize]
	if !ok {
		return nil
	}
	var d SizeRejection
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.UID != mc.UID || d.Generation+1 != mc.Generation {
		return nil
	}
	return &d
}

// CheckSize decides about a size that is asked for: nil when it is within the bounds,
// else the size to reset spec.size to. Below the minimum that is the size that the Job
// has, or the minimum where there is no Job yet.
func CheckSize(mc *v1alpha2.MiniCluster, maximum, parallelism int32) *SizeRejection {
	requested := mc.RequestedSize()
	minimum := mc.LowerBound(maximum)
	d := SizeRejection{UID: mc.UID, Generation: mc.Generation, Requested: requested}
	switch {
	case requested > maximum:
		d.Granted, d.Bound, d.Reason = maximum, maximum, v1alpha2.ReasonAboveMaximum
	case requested < minimum:
		d.Granted, d.Bound, d.Reason = min(max(parallelism, minimum), maximum), minimum, v1alpha2.ReasonBelowMinimum
	default:
		return nil
	}
	return &d
}
