package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/fluxconfig"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
)

// Options are what a Controller needs from outside.
type Options struct {
	// Kube writes all objects but MiniClusters.
	Kube kubernetes.Interface
	// Flux writes MiniClusters.
	Flux clientset.Interface
	// KubeInformers caches Jobs, ConfigMaps, Services and the pods of spec.services;
	// see NewKubeInformers.
	KubeInformers informers.SharedInformerFactory
	// FluxInformers caches MiniClusters.
	FluxInformers fluxinformers.SharedInformerFactory
	// Events records events about MiniClusters.
	Events events.EventRecorder
	// Metrics counts what the controller does.
	Metrics *Metrics
	// Site is where the controller works. An empty ClusterDomain is cluster.local; the
	// version of the server is found out.
	Site Site
	// Clock tells the time; the real one where nil.
	Clock clock.WithTicker
	// Random is the source of keys; crypto/rand where nil.
	Random io.Reader
}

// Controller keeps MiniClusters and what is made for them in step.
type Controller struct {
	kube    kubernetes.Interface
	flux    clientset.Interface
	events  events.EventRecorder
	metrics *Metrics
	clock   clock.WithTicker
	random  io.Reader

	site Site

	miniclusters listers.MiniClusterLister
	jobs         batchlisters.JobLister
	configmaps   corelisters.ConfigMapLister
	services     corelisters.ServiceLister
	pods         corelisters.PodLister
	synced       []cache.InformerSynced

	queue workqueue.TypedRateLimitingInterface[cache.ObjectName]
	fresh *freshness
	held  workqueue.TypedRateLimiter[cache.ObjectName]
	waits workqueue.TypedRateLimiter[cache.ObjectName]
	pace  *statusPace
	steps []step
}

// Bounds of the delay after which a failed sync, one that waits for a name to
// become free, or one that waits for pods to end, is tried again.
const (
	retryBase = 50 * time.Millisecond
	heldBase  = time.Second
	retryMax  = time.Minute
	waitBase  = 500 * time.Millisecond
	waitMax   = 10 * time.Second
)

// New makes a Controller and registers its handlers with the informers, which the
// caller starts.
func New(o Options) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Site.ClusterDomain == "" {
		o.Site.ClusterDomain = fluxconfig.DefaultClusterDomain
	}
	mcs := o.FluxInformers.FluxFramework().V1alpha2().MiniClusters()
	jobInformer := o.KubeInformers.Batch().V1().Jobs()
	configInformer := o.KubeInformers.Core().V1().ConfigMaps()
	serviceInformer := o.KubeInformers.Core().V1().Services()
	podInformer := o.KubeInformers.Core().V1().Pods()

	c := &Controller{
		kube: o.Kube, flux: o.Flux, events: o.Events, metrics: o.Metrics,
		clock: o.Clock, random: o.Random, site: o.Site,
		miniclusters: mcs.Lister(),
		jobs:         jobInformer.Lister(),
		configmaps:   configInformer.Lister(),
		services:     serviceInformer.Lister(),
		pods:         podInformer.Lister(),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](retryBase, retryMax),
			workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{Name: "minicluster", Clock: o.Clock},
		),
		held:  workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](heldBase, retryMax),
		waits: workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](waitBase, waitMax),
		pace:  newStatusPace(o.Clock),
	}
	c.steps = c.stepTable()
	c.fresh = newFreshness(map[cachedResource]versionedStore{
		miniclusters: mcs.Informer().GetStore(),
		jobs:         jobInformer.Informer().GetStore(),
		configmaps:   configInformer.Informer().GetStore(),
		services:     serviceInformer.Informer().GetStore(),
		pods:         podInformer.Informer().GetStore(),
	})
	for _, h := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{mcs.Informer(), c.miniClusterHandler()},
		{jobInformer.Informer(), c.dependentHandler()},
		{configInformer.Informer(), c.dependentHandler()},
		{serviceInformer.Informer(), c.dependentHandler()},
		{podInformer.Informer(), c.dependentHandler()},
	} {
		registration, err := h.informer.AddEventHandler(h.handler)
		if err != nil {
			return nil, fmt.Errorf("registering with an informer: %w", err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return c, nil
}

// Run syncs MiniClusters with a number of workers until the context ends, and
// returns when the last of them has finished what it was doing.
func (c *Controller) Run(ctx context.Context, workers int) error {
	logger := klog.FromContext(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.queue.ShutDown()

	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		logger.Info("Stopped before the caches were filled")
		return nil
	}
	minor, err := serverMinor(ctx, c.kube.Discovery())
	if err != nil {
		logger.Info("Stopped before the version of the API server was known")
		return nil
	}
	c.site.ServerMinor = minor
	logger.Info("Started", "workers", workers, "serverMinorVersion", minor)
	// A sync that has begun is finished: only the next one is not started.
	working := context.WithoutCancel(ctx)
	for range workers {
		wg.Go(func() {
			// What is left in the queue is for whoever comes next.
			for ctx.Err() == nil && c.processNext(working) {
			}
		})
	}
	<-ctx.Done()
	logger.Info("Stopping: waiting for the workers")
	return nil
}

// Synced tells whether the caches are filled.
func (c *Controller) Synced() bool {
	for _, synced := range c.synced {
		if !synced() {
			return false
		}
	}
	return true
}
