package controller

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
)

// caches are the listers of the informers of one namespace, or of all.
type caches struct {
	miniclusters listers.MiniClusterLister
	jobs         batchlisters.JobLister
	configmaps   corelisters.ConfigMapLister
	services     corelisters.ServiceLister
	pods         corelisters.PodLister
	// waiting has nameConflictIndex.
	waiting cache.Indexer
	// jobIndexer has headlessIndex.
	jobIndexer cache.Indexer
	// namespaces is nil if the controller works in some namespaces only.
	namespaces corelisters.NamespaceLister
	// leads are the pods of lead brokers.
	leads cache.Indexer
	// failed are failed pods; nil if Jobs count them.
	failed cache.Indexer

	stores map[cachedResource]versionedStore
}

// watch registers the controller with the informers.
func (c *Controller) watch(i Informers) error {
	mcs := i.Flux.FluxFramework().V1alpha2().MiniClusters()
	job := i.Kube.Batch().V1().Jobs()
	config := i.Kube.Core().V1().ConfigMaps()
	service := i.Kube.Core().V1().Services()
	pod := i.Kube.Core().V1().Pods()
	if err := mcs.Informer().AddIndexers(cache.Indexers{nameConflictIndex: nameConflictNamespace}); err != nil {
		return fmt.Errorf("adding an index of MiniClusters: %w", err)
	}
	lead := i.Leads.Core().V1().Pods().Informer()
	if err := lead.AddIndexers(leadIndexers()); err != nil {
		return fmt.Errorf("indexing the pods of lead brokers: %w", err)
	}
	if err := job.Informer().AddIndexers(cache.Indexers{headlessIndex: headlessOf}); err != nil {
		return fmt.Errorf("adding an index of Jobs: %w", err)
	}
	c.caches[i.Namespace] = &caches{
		miniclusters: mcs.Lister(),
		jobs:         job.Lister(),
		configmaps:   config.Lister(),
		services:     service.Lister(),
		pods:         pod.Lister(),
		waiting:      mcs.Informer().GetIndexer(),
		leads:        lead.GetIndexer(),
		jobIndexer:   job.Informer().GetIndexer(),
		stores: map[cachedResource]versionedStore{
			miniclusters: mcs.Informer().GetStore(),
			jobs:         job.Informer().GetStore(),
			configmaps:   config.Informer().GetStore(),
			services:     service.Informer().GetStore(),
			pods:         pod.Informer().GetStore(),
		},
	}
	type watched struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}
	all := []watched{
		{mcs.Informer(), c.miniClusterHandler()},
		{job.Informer(), c.jobHandler()},
		{config.Informer(), c.dependentHandler()},
		{service.Informer(), c.dependentHandler()},
		{pod.Informer(), c.dependentHandler()},
		{lead, c.leadHandler()},
	}
	if i.Namespaces != nil {
		namespace := i.Namespaces.Core().V1().Namespaces()
		c.caches[i.Namespace].namespaces = namespace.Lister()
		all = append(all, watched{namespace.Informer(), c.namespaceHandler()})
	}
	for _, h := range all {
		registration, err := h.informer.AddEventHandler(h.handler)
		if err != nil {
			return fmt.Errorf("registering with an informer: %w", err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return nil
}

// cached returns the caches of a namespace. They exist for every namespace in use, since every key comes from an
// event.
func (c *Controller) cached(namespace string) *caches {
	if all := c.caches[metav1.NamespaceAll]; all != nil {
		return all
	}
	return c.caches[namespace]
}

// Informers cache the objects of one namespace, or of all of them.
type Informers struct {
	// Namespace is the only namespace that they watch; all if empty.
	Namespace string
	// Kube watches the Jobs, ConfigMaps, Services and the pods of spec.services of this controller.
	Kube informers.SharedInformerFactory
	// Leads watches the pods of lead brokers.
	Leads informers.SharedInformerFactory
	// Flux watches MiniClusters.
	Flux fluxinformers.SharedInformerFactory
	// Namespaces watches namespaces; nil if Namespace is set.
	Namespaces informers.SharedInformerFactory
}

// NewInformers returns informers for each of the given namespaces, which need no rights elsewhere, or for all
// namespaces together if none is given.
func NewInformers(kube kubernetes.Interface, flux clientset.Interface, namespaces ...string) []Informers {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	created := make([]Informers, 0, len(namespaces))
	for _, namespace := range namespaces {
		i := Informers{
			Namespace: namespace,
			Kube:      newKubeInformers(kube, namespace),
			Leads:     newLeadInformers(kube, namespace),
			Flux: fluxinformers.NewSharedInformerFactoryWithOptions(flux, 0,
				fluxinformers.WithNamespace(namespace), fluxinformers.WithTransform(trimMiniCluster)),
		}
		i.Flux.InformerFor(&v1alpha2.MiniCluster{}, func(flux clientset.Interface, _ time.Duration) cache.SharedIndexInformer {
			return newInformer(flux, flux.FluxFrameworkV1alpha2().MiniClusters(namespace), &v1alpha2.MiniCluster{}, "", trimMiniCluster)
		})
		if namespace == metav1.NamespaceAll {
			i.Namespaces = informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithTransform(trim))
		}
		created = append(created, i)
	}
	return created
}

// newKubeInformers returns informers of what the controller creates in a namespace.
func newKubeInformers(kube kubernetes.Interface, namespace string) informers.SharedInformerFactory {
	selector := labels.Set{v1alpha2.LabelController: v1alpha2.ManagedBy}.AsSelector().String()
	core := kube.CoreV1()
	factory := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(namespace), informers.WithTransform(trim))
	factory.InformerFor(&batchv1.Job{}, kubeInformer(kube.BatchV1().Jobs(namespace), &batchv1.Job{}, selector, trim))
	factory.InformerFor(&corev1.ConfigMap{}, kubeInformer(core.ConfigMaps(namespace), &corev1.ConfigMap{}, selector, trim))
	factory.InformerFor(&corev1.Service{}, kubeInformer(core.Services(namespace), &corev1.Service{}, selector, trim))
	factory.InformerFor(&corev1.Pod{}, kubeInformer(core.Pods(namespace), &corev1.Pod{}, selector, trim))
	return factory
}

// newLeadInformers returns an informer of the pods of lead brokers in a namespace.
func newLeadInformers(kube kubernetes.Interface, namespace string) informers.SharedInformerFactory {
	factory := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(namespace), informers.WithTransform(leadOnly))
	factory.InformerFor(&corev1.Pod{}, kubeInformer(kube.CoreV1().Pods(namespace), &corev1.Pod{}, leadSelector, leadOnly))
	return factory
}

// Start starts the informers; they stop when the context ends.
func (i Informers) Start(ctx context.Context) {
	i.Kube.StartWithContext(ctx)
	i.Leads.StartWithContext(ctx)
	i.Flux.StartWithContext(ctx)
	if i.Namespaces != nil {
		i.Namespaces.StartWithContext(ctx)
	}
}

// Shutdown waits until the informers have stopped.
func (i Informers) Shutdown() {
	i.Kube.Shutdown()
	i.Leads.Shutdown()
	i.Flux.Shutdown()
	if i.Namespaces != nil {
		i.Namespaces.Shutdown()
	}
}

// MiniClusters returns all MiniClusters in the caches of informers.
func MiniClusters(informers []Informers) []*v1alpha2.MiniCluster {
	var found []*v1alpha2.MiniCluster
	for _, i := range informers {
		// Listing from a cache does not fail.
		mcs, _ := i.Flux.FluxFramework().V1alpha2().MiniClusters().Lister().List(labels.Everything())
		found = append(found, mcs...)
	}
	return found
}
