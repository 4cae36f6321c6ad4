package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/validation"
)

// validate rejects an invalid spec before anything is created from it. Once the Job
// exists, an invalid edit does no harm: it is reported, and the other steps run.
func (c *Controller) validate(_ context.Context, s *syncState) error {
	if s.job != nil {
		edited, err := resources.EditedFields(s.mc, s.job.Annotations[v1alpha2.AnnotationSpecHash])
		if err != nil {
			return err
		}
		s.observed.Edited = edited
		s.observed.Invalid = messageOf(validation.ValidateMiniClusterUpdate(s.mc, s.fixed.Maximum))
		if s.observed.Invalid == "" && s.restartsForChanges() {
			s.observed.Invalid = messageOfError(c.startable(s.mc))
		}
		return nil
	}
	mc := s.mc
	if mc.Status.MaximumSize > 0 {
		// The Job of a cluster with a recorded maximum is recreated. A size that is out of bounds is no reason to reject
		// the spec, since the next step corrects it. Nor are invalid fields that may change and that the Job does not
		// depend on: they are reported once the Job exists again.
		mc = mc.DeepCopy()
		mc.Spec.Opportunistic, mc.Spec.Autoscaling = nil, nil
		mc.Spec.Size = new(s.fixed.Maximum)
		mc.Spec.MaxSize = s.fixed.Maximum
	}
	return c.startable(mc)
}

// startable returns an error if a cluster would not start with a spec.
func (c *Controller) startable(mc *v1alpha2.MiniCluster) error {
	if message := messageOf(validation.ValidateMiniCluster(mc)); message != "" {
		return invalid(v1alpha2.ReasonInvalid, message)
	}
	if len(mc.Spec.Volumes) > 0 && c.environment.NoClusterVolumes {
		return invalid(v1alpha2.ReasonVolumesNotAllowed, messages.VolumesNotAllowed)
	}
	if key := resources.HostPathVolume(mc); key != "" && !c.environment.AllowHostPathVolumes {
		return invalid(v1alpha2.ReasonHostPathNotAllowed, fmt.Sprintf(messages.HostPathNotAllowed, key, resources.StorageHostPath))
	}
	if key := resources.ForbiddenDriverVolume(mc, c.environment); key != "" {
		return invalid(v1alpha2.ReasonVolumesNotAllowed, messages.DriverNotAllowed(key, mc.Spec.Volumes[key].Driver))
	}
	if key := resources.ForeignSecretVolume(mc, c.environment); key != "" {
		return invalid(v1alpha2.ReasonVolumesNotAllowed,
			fmt.Sprintf(messages.SecretNamespaceNotAllowed, key, mc.Spec.Volumes[key].SecretNamespace, mc.Namespace))
	}
	return nil
}

func messageOfError(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func messageOf(errs field.ErrorList) string {
	if len(errs) == 0 {
		return ""
	}
	return errs.ToAggregate().Error()
}
