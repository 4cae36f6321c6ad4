package controller

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// beside makes what lives beside the Job. It comes last, and none of it keeps the
// cluster from running, growing and shrinking.
func (c *Controller) beside(ctx context.Context, s *syncState) error {
	if !hasBeside(s.job) {
		return nil
	}
	if err := errors.Join(c.sidecarServices(ctx, s), c.keepServicesPod(ctx, s)); err != nil {
		return &besideError{err}
	}
	return nil
}

// hasBeside tells whether anything lives beside a Job: one that was taken over has
// what its maker gave it.
func hasBeside(job *batchv1.Job) bool {
	return job != nil && resources.CreatedByController(job) && job.DeletionTimestamp == nil
}

// lacksBeside tells whether something is missing that the step beside would make.
func (c *Controller) lacksBeside(s *syncState) (bool, error) {
	if !hasBeside(s.job) {
		return false, nil
	}
	for _, sidecar := range resources.SidecarsOf(s.mc, s.job) {
		service, err := c.cached(s.mc.Namespace).services.Services(s.mc.Namespace).Get(sidecar.Name)
		if err := ignoreNotFound(err); err != nil {
			return false, fmt.Errorf("reading Service %q from the cache: %w", sidecar.Name, err)
		}
		if service == nil {
			return true, nil
		}
	}
	if s.servicesPod != nil {
		return false, nil
	}
	return wantsServicesPod(s)
}

// sidecarServices makes a Service for each sidecar that has ports.
func (c *Controller) sidecarServices(ctx context.Context, s *syncState) error {
	var errs []error
	for _, sidecar := range resources.SidecarsOf(s.mc, s.job) {
		errs = append(errs, c.sidecarService(ctx, s, sidecar))
	}
	return errors.Join(errs...)
}

func (c *Controller) sidecarService(ctx context.Context, s *syncState, sidecar resources.Sidecar) error {
	service, err := c.cached(s.mc.Namespace).services.Services(s.mc.Namespace).Get(sidecar.Name)
	switch {
	case apierrors.IsNotFound(err):
		return c.createSidecarService(ctx, s, sidecar)
	case err != nil:
		return fmt.Errorf("reading Service %q from the cache: %w", sidecar.Name, err)
	case !metav1.IsControlledBy(service, s.mc):
		return heldBySidecar(service)
	}
	return nil
}

func (c *Controller) createSidecarService(ctx context.Context, s *syncState, sidecar resources.Sidecar) error {
	client := c.kube.CoreV1().Services(s.mc.Namespace)
	service, err := client.Create(ctx, resources.BuildSidecarService(s.mc, sidecar), metav1.CreateOptions{FieldManager: fieldManager})
	if err == nil {
		c.fresh.wrote(s.key, services, service.ResourceVersion)
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating Service %q of a sidecar: %w", sidecar.Name, err)
	}
	held, err := client.Get(ctx, sidecar.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("reading Service %q, which exists already: %w", sidecar.Name, err)
	case !metav1.IsControlledBy(held, s.mc):
		return heldBySidecar(held)
	case resources.HasManagedLabel(held):
		return &staleError{what: "Services"}
	}
	// Somebody took our label away, and with it the object from our sight.
	return c.relabelService(ctx, s, held)
}

func heldBySidecar(service *corev1.Service) error {
	held := &heldError{
		kind: "Service", name: service.Name, holder: describeHolder(service),
		advice: "make the MiniCluster again with another name for the sidecar",
	}
	if service.Spec.Selector[v1alpha2.LabelHeadlessService] == service.Name {
		held.holder = "it gives the pods of MiniClusters their host names"
	}
	return held
}
