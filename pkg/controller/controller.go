package controller

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
)

// Options are what a Controller needs from outside.
type Options struct {
	// Kube writes all objects but MiniClusters.
	Kube kubernetes.Interface
	// Flux writes MiniClusters.
	Flux clientset.Interface
	// Informers are of the namespaces in which the controller works; see NewInformers.
	Informers []Informers
	// Events records events about MiniClusters.
	Events events.EventRecorder
	// Metrics counts what the controller does.
	Metrics *Metrics
	// Site is where the controller works. An empty ClusterDomain is cluster.local; the
	// version of the server is found out.
	Environment resources.Environment
	// SlowStart is the time that pods have to become ready before they are looked at,
	// for what keeps them; they never are where it is 0 or less.
	SlowStart time.Duration
	// DrainPatience is how long an agent that can't be reached is tried before a
	// MiniCluster shrinks without draining ranks. 0: agents are never asked, and
	// every shrink goes at once.
	DrainPatience time.Duration
	// NewAgent makes the client of a lead's agent from the data of a cluster's Secret
	// and the lead's host name; over TLS where nil, see package control.
	NewAgent func(data map[string][]byte, host string) (Agent, error)
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

	environment resources.Environment

	// caches are those of each namespace, or of all under the name "".
	caches map[string]*caches
	synced []cache.InformerSynced

	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
	fresh  *freshness
	stales workqueue.TypedRateLimiter[cache.ObjectName]
	held   workqueue.TypedRateLimiter[cache.ObjectName]
	waits  workqueue.TypedRateLimiter[cache.ObjectName]
	pace   *statusPace
	slow   *slowStarts
	steps  []step

	agents        *agentClient
	leads         *agents
	drainPatience time.Duration
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
	if o.Environment.ClusterDomain == "" {
		o.Environment.ClusterDomain = fluxconfig.DefaultClusterDomain
	}
	c := &Controller{
		kube: o.Kube, flux: o.Flux, events: shortNotes{o.Events}, metrics: o.Metrics,
		clock: o.Clock, random: o.Random, environment: o.Environment,
		caches: map[string]*caches{},
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](retryBase, retryMax),
			workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{Name: "minicluster", Clock: o.Clock},
		),
		stales: workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](staleRetry, staleMax),
		held:   workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](heldBase, retryMax),
		waits:  workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](waitBase, waitMax),
		pace:   newStatusPace(o.Clock),
		slow:   newSlowStarts(o.Clock, o.SlowStart),

		agents:        newAgentClient(),
		drainPatience: o.DrainPatience,
	}
	c.leads = newAgents(o.NewAgent, o.Clock, func(key cache.ObjectName) { c.queue.Add(key) })
	c.steps = c.stepTable()
	c.fresh = newFreshness(func(namespace string) map[cachedResource]versionedStore { return c.cached(namespace).stores })
	for _, i := range o.Informers {
		if err := c.watch(i); err != nil {
			return nil, err
		}
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
	c.environment.ServerMinor = minor
	logger.Info("Started", "workers", workers, "serverMinorVersion", minor)
	// A sync that has begun is finished: only the next one is not started.
	working := context.WithoutCancel(ctx)
	// Questions to agents are not: they may take long, and are asked again.
	c.leads.spawn = func(ask func(context.Context)) { wg.Go(func() { ask(ctx) }) }
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
