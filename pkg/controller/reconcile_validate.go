package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/validation"
)

// validate refuses to make anything from an invalid spec. Once the Job exists, a
// wrong edit can't harm it any more: it is reported, and the rest goes on.
func (c *Controller) validate(_ context.Context, s *syncState) error {
	if s.job != nil {
		edited, err := resources.EditedFields(s.mc, s.job.Annotations[v1alpha2.AnnotationSpecHash])
		if err != nil {
			return err
		}
		s.seen.edited = edited
		s.seen.invalid = messageOf(validation.ValidateMiniClusterUpdate(s.mc, s.fixed.Maximum))
		return nil
	}
	mc := s.mc
	if s.conf != nil || mc.Status.MaximumSize > 0 {
		// The Job of a cluster that has a maximum already has to be made again:
		// a size out of bounds is corrected by the next step, and is no reason
		// to refuse. Nor is what it leaves to others, which only the metrics API
		// server reads: it is reported once the Job is there again.
		mc = mc.DeepCopy()
		delete(mc.Annotations, v1alpha2.AnnotationCapacityReserve)
		mc.Spec.Size = new(s.fixed.Maximum)
		mc.Spec.MaxSize = s.fixed.Maximum
	}
	if message := messageOf(validation.ValidateMiniCluster(mc)); message != "" {
		return &terminalError{reason: v1alpha2.ReasonInvalid, message: message}
	}
	if len(mc.Spec.Volumes) > 0 && c.environment.NoClusterVolumes {
		return &terminalError{reason: v1alpha2.ReasonVolumesNotAllowed, message: "spec.volumes: PersistentVolumes lie in no namespace, and the controller " +
			"works in some namespaces only (--namespaces), without a right to make them; have the volume and a claim made, and mount the claim by existingVolumes"}
	}
	if key := resources.HostPathVolume(mc); key != "" && !c.environment.AllowHostPathVolumes {
		return &terminalError{reason: v1alpha2.ReasonHostPathNotAllowed, message: fmt.Sprintf(
			"spec.volumes[%s]: a volume in a directory of the nodes (storage class %s) is not allowed here, because it bypasses Pod Security; "+
				"name a CSI driver and its storage class, mount an existing claim instead, or ask the administrator to start the controller with --allow-hostpath-volumes",
			key, resources.StorageHostPath)}
	}
	return nil
}

func messageOf(errs field.ErrorList) string {
	if len(errs) == 0 {
		return ""
	}
	return errs.ToAggregate().Error()
}
