package controller

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/controller/resources"
)

// network makes the headless Service, or becomes one more owner of it.
func (c *Controller) network(ctx context.Context, s *syncState) error {
	if s.job != nil && !resources.CreatedByController(s.job) {
		return nil
	}
	c.fresh.begin(s.key, s.mc.UID)
	switch {
	case s.service == nil:
		return c.createService(ctx, s)
	case s.service.DeletionTimestamp != nil && s.job != nil && resources.IsOwner(s.mc, s.service):
		return nil // it serves until it has gone, which wakes us
	case s.service.DeletionTimestamp != nil:
		return &waitError{message: fmt.Sprintf("waiting for Service %q, which is being deleted, to go", s.service.Name)}
	case resources.IsOwner(s.mc, s.service):
		return nil
	case !resources.IsShareable(s.mc, s.service):
		return heldHeadless(s.service)
	default:
		return c.shareService(ctx, s)
	}
}

func (c *Controller) createService(ctx context.Context, s *syncState) error {
	client := c.kube.CoreV1().Services(s.mc.Namespace)
	service, err := client.Create(ctx, resources.BuildHeadlessService(s.mc, s.fixed), metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		held, getErr := client.Get(ctx, s.fixed.Headless, metav1.GetOptions{})
		switch {
		case getErr != nil:
			return fmt.Errorf("reading Service %q, which exists already: %w", s.fixed.Headless, getErr)
		case resources.IsShareable(s.mc, held) && resources.HasManagedLabel(held):
			return &staleError{what: "Services"}
		case resources.IsShareable(s.mc, held):
			// Somebody took our label away, and with it the object from our sight.
			return c.relabelService(ctx, s, held)
		case metav1.IsControlledBy(held, s.mc):
			return nil // made for this MiniCluster by the controller before us
		}
		return heldHeadless(held)
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
	service, err := c.patchService(ctx, s, s.service.Name, map[string]any{
		"uid":             s.service.UID,
		"ownerReferences": []metav1.OwnerReference{resources.SharedOwnerReference(s.mc)},
	})
	if err == nil {
		s.service = service
	}
	return err
}

// relabelService gives a Service of ours its label back, without which the caches
// don't show it.
func (c *Controller) relabelService(ctx context.Context, s *syncState, service *corev1.Service) error {
	if _, err := c.patchService(ctx, s, service.Name, resources.RelabelPatch(service)); err != nil {
		return err
	}
	return &staleError{what: "Services"}
}

func (c *Controller) patchService(ctx context.Context, s *syncState, name string, metadata map[string]any) (*corev1.Service, error) {
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return nil, fmt.Errorf("encoding a patch: %w", err)
	}
	service, err := c.kube.CoreV1().Services(s.mc.Namespace).
		Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return nil, &staleError{what: "Services"}
	}
	if err != nil {
		return nil, fmt.Errorf("patching Service %q: %w", name, err)
	}
	c.fresh.wrote(s.key, services, service.ResourceVersion)
	return service, nil
}

func heldHeadless(service *corev1.Service) error {
	held := &heldError{kind: "Service", name: service.Name, holder: describeHolder(service), advice: "set spec.network.headlessName to another name"}
	if resources.IsMinimal(service) {
		held.holder = "it is the minimal Service of another MiniCluster, which names lead brokers only"
	}
	return held
}
