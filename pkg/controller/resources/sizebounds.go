package resources

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
)

// SizeRejection is a size that was not granted. The patch that resets spec.size also writes it to the MiniCluster, so
// that it is reported even if the controller is killed right afterwards.
type SizeRejection struct {
	// UID is that of the MiniCluster. A copy of the MiniCluster has the annotation too, but another UID.
	UID types.UID `json:"uid"`
	// Generation of the spec that asked for the size.
	Generation int64 `json:"generation"`
	// Requested is the requested size.
	Requested int32 `json:"requested"`
	// Granted is the size to which spec.size was reset.
	Granted int32 `json:"granted"`
	// Bound is the maximum or minimum that was violated.
	Bound int32 `json:"bound"`
	// Reason is ReasonAboveMaximum, ReasonBelowMinimum, ReasonNotElastic or ReasonUnschedulable.
	Reason string `json:"reason"`
	// Until is when larger sizes are accepted again, with ReasonUnschedulable.
	Until *time.Time `json:"until,omitempty"`
}

// Message says which size was rejected and which bound it violates.
func (d *SizeRejection) Message() string {
	switch d.Reason {
	case v1alpha2.ReasonAboveMaximum:
		return messages.AboveMaximum(d.Requested, d.Bound, d.Granted)
	case v1alpha2.ReasonNotElastic:
		return messages.NotElastic(d.Requested, d.Granted)
	case v1alpha2.ReasonUnschedulable:
		until := ""
		if d.Until != nil {
			until = d.Until.UTC().Format(time.RFC3339)
		}
		return messages.NotSchedulable(d.Requested, d.Granted, until)
	}
	return messages.BelowMinimum(d.Requested, d.Bound, d.Granted)
}

// Annotation is the rejection as the value of AnnotationRejectedSize.
func (d *SizeRejection) Annotation() (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encoding the rejected size: %w", err)
	}
	return string(text), nil
}

// RecordedRejection returns the rejection that a MiniCluster records, as long as the reset of spec.size is the last
// change of the spec: the reset created the next generation, and a later generation is another request.
func RecordedRejection(mc *v1alpha2.MiniCluster) *SizeRejection {
	text, ok := mc.Annotations[v1alpha2.AnnotationRejectedSize]
	if !ok {
		return nil
	}
	var d SizeRejection
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.UID != mc.UID || d.Generation+1 != mc.Generation {
		return nil
	}
	return &d
}

// CheckSize checks a requested size. It returns nil if the size is within the bounds, or if it is 0 and that hibernates
// the cluster, otherwise the size to reset spec.size to. For a size below the minimum, that is the size of the Job, or
// the minimum if the Job does not exist yet.
func CheckSize(mc *v1alpha2.MiniCluster, maximum, parallelism int32) *SizeRejection {
	requested := mc.RequestedSize()
	minimum := mc.LowerBound(maximum)
	d := SizeRejection{UID: mc.UID, Generation: mc.Generation, Requested: requested}
	switch {
	case requested == 0 && mc.ScalesToZero():
		return nil
	case requested > maximum:
		d.Granted, d.Bound, d.Reason = maximum, maximum, v1alpha2.ReasonAboveMaximum
	case requested < minimum:
		d.Granted, d.Bound, d.Reason = min(max(parallelism, minimum), maximum), minimum, v1alpha2.ReasonBelowMinimum
	default:
		return nil
	}
	return &d
}
