package controller

import (
	"context"
	"errors"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// sidecars creates the Services of sidecars and the services pod. It is the last step,
// and the cluster runs, grows and shrinks without these objects.
func (c *Controller) sidecars(ctx context.Context, s *syncState) error {
	if !hasAuxiliaries(s.job) {
		return nil
	}
	if err := errors.Join(c.sidecarServices(ctx, s), c.keepServicesPod(ctx, s)); err != nil {
		return &auxiliaryError{err}
	}
	return nil
}

// hasAuxiliaries reports whether a Job has auxiliary objects. A Job that another controller created has none.
func hasAuxiliaries(job *batchv1.Job) bool {
	return job != nil && resources.CreatedByController(job) && job.DeletionTimestamp == nil
}

// lacksAuxiliaries reports whether an object is missing that the step sidecars creates.
func (c *Controller) lacksAuxiliaries(ctx context.Context, s *syncState) (bool, error) {
	if !hasAuxiliaries(s.job) {
		return false, nil
	}
	for _, sidecar := range resources.SidecarsOf(s.mc, s.job) {
		if service, err := s.read.service(ctx, s.mc.Namespace, sidecar.Name); err != nil || service == nil {
			return service == nil, err
		}
	}
	if s.servicesPod != nil {
		return false, nil
	}
	return wantsServicesPod(s)
}

// sidecarServices creates a Service for each sidecar that has ports.
func (c *Controller) sidecarServices(ctx context.Context, s *syncState) error {
	var errs []error
	for _, sidecar := range resources.SidecarsOf(s.mc, s.job) {
		errs = append(errs, c.sidecarService(ctx, s, sidecar))
	}
	return errors.Join(errs...)
}

func (c *Controller) sidecarService(ctx context.Context, s *syncState, sidecar resources.Sidecar) error {
	service, err := s.read.service(ctx, s.mc.Namespace, sidecar.Name)
	switch {
	case err != nil:
		return err
	case service == nil:
		client := c.kube.CoreV1().Services(s.mc.Namespace)
		_, _, err := createOwned(ctx, c, s, client, services, resources.BuildSidecarService(s.mc, sidecar), ownership[*corev1.Service]{
			conflict: sidecarConflict,
			labelLost: func(found *corev1.Service) (*corev1.Service, error) {
				return restoreLabel(ctx, c, s, client, services, found, nil)
			},
		})
		return err
	case resources.IsOrphan(s.mc, service):
		_, err := adoptOrphan(ctx, c, s, c.kube.CoreV1().Services(s.mc.Namespace), services, service, nil)
		return err
	case !metav1.IsControlledBy(service, s.mc):
		return sidecarConflict(service)
	default:
		return c.repairService(ctx, s, service, resources.BuildSidecarService(s.mc, sidecar))
	}
}

// sidecarConflict returns the conflict with a Service that has the name of a sidecar.
func sidecarConflict(service *corev1.Service) error {
	holder := resources.DescribeController(service)
	if service.Spec.Selector[v1alpha2.LabelHeadlessService] == service.Name {
		holder = messages.HeadlessOfOthers
	}
	return nameConflict(services.kind(), service.Name, holder, messages.RenameSidecar)
}
