package controller

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// service creates the headless Service, or adds the MiniCluster to its owners.
func (c *Controller) service(ctx context.Context, s *syncState) error {
	if s.job != nil && !resources.CreatedByController(s.job) {
		return nil
	}
	c.consistency.markStarted(s.key, s.mc.UID)
	switch {
	case s.service == nil:
		return c.createService(ctx, s)
	case s.service.DeletionTimestamp != nil && s.job != nil && (resources.IsOwner(s.mc, s.service) || c.isFull(s.service)):
		return nil // it works until its deletion, which an event reports
	case s.service.DeletionTimestamp != nil:
		return waitFor(messages.WaitForDeletion(services.kind(), s.service.Name))
	case resources.IsOwner(s.mc, s.service):
		return c.repairService(ctx, s, s.service, resources.BuildHeadlessService(s.mc, s.fixed))
	case !resources.IsShareable(s.mc, s.service):
		return headlessConflict(s.service)
	case c.isFull(s.service):
		return nil // it is used without being owned, see wakeSharers
	default:
		return c.shareService(ctx, s)
	}
}

// maxOwners is the number of MiniClusters that own a Service that they share. Each one adds 184 bytes to the object,
// which every one that comes or goes writes again.
const maxOwners = 100

// isFull reports whether a Service has enough owners.
func (c *Controller) isFull(service *corev1.Service) bool {
	return len(service.OwnerReferences) >= c.maxOwners
}

// wakeSharers wakes up to a number of MiniClusters that use a Service and are not its owners: it is deleted with its
// last owner, and must be created again if others still use it.
func (c *Controller) wakeSharers(service *corev1.Service, number int, after time.Duration) {
	sharers, err := c.cached(service.Namespace).jobIndexer.ByIndex(headlessIndex, service.Namespace+"/"+service.Name)
	if err != nil {
		return // the index exists
	}
	owners := sets.New[types.UID]()
	for _, owner := range service.OwnerReferences {
		owners.Insert(owner.UID)
	}
	for _, job := range sharers {
		owner := metav1.GetControllerOf(object(job))
		if owner == nil || owner.Kind != v1alpha2.MiniClusterKind.Kind || owners.Has(owner.UID) {
			continue
		}
		if number--; number < 0 {
			return
		}
		c.enqueueAfter(cache.NewObjectName(service.Namespace, owner.Name), after)
	}
}

// headlessIndex is the index of Jobs by the Service that gives their pods host names.
const headlessIndex = "headless"

// headlessOf is the index function of headlessIndex.
func headlessOf(obj any) ([]string, error) {
	job, ok := obj.(*batchv1.Job)
	if !ok || job.Spec.Template.Spec.Subdomain == "" {
		return nil, nil
	}
	return []string{job.Namespace + "/" + job.Spec.Template.Spec.Subdomain}, nil
}

func (c *Controller) createService(ctx context.Context, s *syncState) error {
	client := c.kube.CoreV1().Services(s.mc.Namespace)
	service, created, err := createOwned(ctx, c, s, client, services, resources.BuildHeadlessService(s.mc, s.fixed), ownership[*corev1.Service]{
		owned: func(service *corev1.Service) bool { return resources.IsShareable(s.mc, service) },
		conflict: func(service *corev1.Service) error {
			if metav1.IsControlledBy(service, s.mc) {
				return nil // created by an earlier controller for this MiniCluster
			}
			return headlessConflict(service)
		},
		labelLost: func(found *corev1.Service) (*corev1.Service, error) {
			return restoreLabel(ctx, c, s, client, services, found, nil)
		},
	})
	if created || err == nil {
		s.service = service
	}
	return err
}

// shareService adds an owner to a Service that another MiniCluster created. The UID in the
// patch makes it fail if the Service was replaced.
func (c *Controller) shareService(ctx context.Context, s *syncState) error {
	client := c.kube.CoreV1().Services(s.mc.Namespace)
	service, err := patch(ctx, c, s.key, client, services, s.service.Name, types.StrategicMergePatchType, map[string]any{
		"metadata": map[string]any{
			"uid":             s.service.UID,
			"ownerReferences": []metav1.OwnerReference{resources.SharedOwnerReference(s.mc)},
		},
	})
	if err == nil {
		s.service = service
	}
	return err
}

// headlessConflict returns the conflict with a Service that cannot be shared.
func headlessConflict(service *corev1.Service) error {
	holder := resources.DescribeController(service)
	if resources.IsMinimal(service) {
		holder = messages.MinimalServiceHolder
	}
	return nameConflict(services.kind(), service.Name, holder, messages.SetHeadlessName)
}
