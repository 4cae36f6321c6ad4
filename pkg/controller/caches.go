package controller

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
)

// caches are what the informers of a namespace, or of all, have seen.
type caches struct {
	miniclusters listers.MiniClusterLister
	jobs         batchlisters.JobLister
	configmaps   corelisters.ConfigMapLister
	services     corelisters.ServiceLister
	pods         corelisters.PodLister

	stores map[cachedResource]versionedStore
}

// watch registers the controller with the informers.
func (c *Controller) watch(i Informers) error {
	mcs := i.Flux.FluxFramework().V1alpha2().MiniClusters()
	job := i.Kube.Batch().V1().Jobs()
	config := i.Kube.Core().V1().ConfigMaps()
	service := i.Kube.Core().V1().Services()
	pod := i.Kube.Core().V1().Pods()
	c.caches[i.Namespace] = &caches{
		miniclusters: mcs.Lister(),
		jobs:         job.Lister(),
		configmaps:   config.Lister(),
		services:     service.Lister(),
		pods:         pod.Lister(),
		stores: map[cachedResource]versionedStore{
			miniclusters: mcs.Informer().GetStore(),
			jobs:         job.Informer().GetStore(),
			configmaps:   config.Informer().GetStore(),
			services:     service.Informer().GetStore(),
			pods:         pod.Informer().GetStore(),
		},
	}
	for _, h := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{mcs.Informer(), c.miniClusterHandler()},
		{job.Informer(), c.dependentHandler()},
		{config.Informer(), c.dependentHandler()},
		{service.Informer(), c.dependentHandler()},
		{pod.Informer(), c.dependentHandler()},
	} {
		registration, err := h.informer.AddEventHandler(h.handler)
		if err != nil {
			return fmt.Errorf("registering with an informer: %w", err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return nil
}

// cached is what is cached of a namespace. Nobody asks for one that is not watched:
// whatever is asked for began with an event.
func (c *Controller) cached(namespace string) *caches {
	if all := c.caches[metav1.NamespaceAll]; all != nil {
		return all
	}
	return c.caches[namespace]
}
