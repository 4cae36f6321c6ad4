package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// network makes the headless Service, or becomes one more owner of it.
func (c *Controller) network(ctx context.Context, s *syncState) error {
	if s.job != nil && !madeByUs(s.job) {
		return nil
	}
	switch {
	case s.service == nil:
		return c.createService(ctx, s)
	case s.service.DeletionTimestamp != nil:
		return &staleError{what: "Services"}
	case owns(s.mc, s.service):
		return nil
	case !sharable(s.service):
		return &heldError{kind: "Service", name: s.service.Name, holder: describeHolder(s.service)}
	default:
		return c.shareService(ctx, s)
	}
}

func (c *Controller) createService(ctx context.Context, s *syncState) error {
	client := c.kube.CoreV1().Services(s.mc.Namespace)
	service, err := client.Create(ctx, BuildHeadlessService(s.mc, s.facts), metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		held, getErr := client.Get(ctx, s.facts.Headless, metav1.GetOptions{})
		switch {
		case getErr != nil:
			return fmt.Errorf("reading Service %q, which exists already: %w", s.facts.Headless, getErr)
		case sharable(held) && held.Labels[v1alpha2.LabelManagedBy] == v1alpha2.ManagedBy:
			return &staleError{what: "Services"}
		case sharable(held):
			// Somebody took our label away, and with it the object from our sight.
			s.service = held
			if err := c.patchService(ctx, s, relabelled(held)); err != nil {
				return err
			}
			return &staleError{what: "Services"}
		case metav1.IsControlledBy(held, s.mc):
			return nil // made for this MiniCluster by the controller before us
		}
		return &heldError{kind: "Service", name: held.Name, holder: describeHolder(held)}
	}
	if err != nil {
		return fmt.Errorf("creating the headless Service: %w", err)
	}
	s.service = service
	c.fresh.wrote(s.key, services, service.ResourceVersion)
	return nil
}

// shareService adds an owner to a Service that another MiniCluster made. The UID
// in the patch makes it fail if the Service was replaced meanwhile.
func (c *Controller) shareService(ctx context.Context, s *syncState) error {
	return c.patchService(ctx, s, map[string]any{
		"uid":             s.service.UID,
		"ownerReferences": []metav1.OwnerReference{sharedReference(s.mc)},
	})
}

func (c *Controller) patchService(ctx context.Context, s *syncState, metadata map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	service, err := c.kube.CoreV1().Services(s.mc.Namespace).
		Patch(ctx, s.service.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return &staleError{what: "Services"}
	}
	if err != nil {
		return fmt.Errorf("patching the headless Service %q: %w", s.service.Name, err)
	}
	s.service = service
	c.fresh.wrote(s.key, services, service.ResourceVersion)
	return nil
}

// sharable tells a headless Service of ours, which MiniClusters share by its name,
// from any other Service.
func sharable(service *corev1.Service) bool {
	return service.Spec.Selector[v1alpha2.LabelHeadlessService] == service.Name
}

func owns(mc *v1alpha2.MiniCluster, service *corev1.Service) bool {
	return slices.ContainsFunc(service.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == mc.UID })
}
