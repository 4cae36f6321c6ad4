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
	c.fresh.begin(s.key, s.mc.UID)
	switch {
	case s.service == nil:
		return c.createService(ctx, s)
	case s.service.DeletionTimestamp != nil && s.job != nil && owns(s.mc, s.service):
		return nil // it serves until it has gone, which wakes us
	case s.service.DeletionTimestamp != nil:
		return &waitError{message: fmt.Sprintf("waiting for Service %q, which is being deleted, to go", s.service.Name)}
	case owns(s.mc, s.service):
		return nil
	case !sharable(s.mc, s.service):
		return heldHeadless(s.service)
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
		case sharable(s.mc, held) && managed(held):
			return &staleError{what: "Services"}
		case sharable(s.mc, held):
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
		"ownerReferences": []metav1.OwnerReference{sharedReference(s.mc)},
	})
	if err == nil {
		s.service = service
	}
	return err
}

// relabelService gives a Service of ours its label back, without which the caches
// don't show it.
func (c *Controller) relabelService(ctx context.Context, s *syncState, service *corev1.Service) error {
	if _, err := c.patchService(ctx, s, service.Name, relabelled(service)); err != nil {
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

// sharable tells a Service of ours that gives pods their host names, and that a
// MiniCluster may share, from any other Service. One for lead brokers only is too
// little for a MiniCluster whose pods all need a name.
func sharable(mc *v1alpha2.MiniCluster, service *corev1.Service) bool {
	return service.Spec.Selector[v1alpha2.LabelHeadlessService] == service.Name && (minimalService(mc) || !isMinimal(service))
}

func heldHeadless(service *corev1.Service) error {
	held := &heldError{kind: "Service", name: service.Name, holder: describeHolder(service), advice: "set spec.network.headlessName to another name"}
	if isMinimal(service) {
		held.holder = "it is the minimal Service of another MiniCluster, which names lead brokers only"
	}
	return held
}

func owns(mc *v1alpha2.MiniCluster, service *corev1.Service) bool {
	return slices.ContainsFunc(service.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == mc.UID })
}
