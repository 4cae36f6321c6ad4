package controller

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/controller/status"
)

// Bounds of the delays after which a sync is retried.
const (
	// retryBase and retryMax bound the delay after failed requests.
	retryBase = 50 * time.Millisecond
	retryMax  = time.Minute
	// conflictBase is the first delay after a name conflict; retryMax is the longest.
	conflictBase = time.Second
	// waitBase and waitMax bound the delay of syncs that wait.
	waitBase = 500 * time.Millisecond
	waitMax  = 10 * time.Second
	// staleRetry and staleMax bound the delay with a stale cache, unless the missing event arrives earlier. A watch may
	// hang; the controller then reads the uncertain objects from the API server.
	staleRetry = 100 * time.Millisecond
	staleMax   = 2 * time.Second
)

// staleTimeout is how long a sync waits for a cache before it reads the API server instead. A watch may hang, or the
// API server may have been restored from a backup and never reach the resource version that the sync waits for.
const staleTimeout = 10 * time.Second

// recheckAfterWrite is the time after which a sync that wrote something is followed by another one, unless an event
// triggers it earlier. An object that was created and deleted while a watch was broken was never in the cache, so no
// event reports its deletion. The additional sync makes no request.
const recheckAfterWrite = 10 * time.Second

// recheckSecret is the interval between reads of the Secret of a MiniCluster without a certificate: no event reports
// that it is restored.
const recheckSecret = time.Minute

// syncTimeout ends a sync whose requests hang.
const syncTimeout = time.Minute

// limiters are the rate limiters of the outcomes that are not failures.
type limiters map[retryPolicy]workqueue.TypedRateLimiter[cache.ObjectName]

func newLimiters() limiters {
	return limiters{
		retryStale:        workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](staleRetry, staleMax),
		retryNameConflict: workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](conflictBase, retryMax),
		retryWaiting:      workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](waitBase, waitMax),
	}
}

// next returns the delay of a policy, and resets the other limiters.
func (l limiters) next(policy retryPolicy, key cache.ObjectName) time.Duration {
	var after time.Duration
	for p, limiter := range l {
		if p == policy {
			after = limiter.When(key)
		} else {
			limiter.Forget(key)
		}
	}
	return after
}

func (l limiters) forget(key cache.ObjectName) { l.next(retryNever, key) }

// newQueue returns a work queue with a storage.
func newQueue(c clock.WithTicker, storage workqueue.Queue[cache.ObjectName]) workqueue.TypedRateLimitingInterface[cache.ObjectName] {
	const name = "minicluster"
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](retryBase, retryMax),
		workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{
			DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[cache.ObjectName]{
				Name: name, Clock: c,
				Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[cache.ObjectName]{Name: name, Clock: c, Queue: storage}),
			}),
		},
	)
}

// priorityOf returns the priority of a MiniCluster, as the cache shows it.
func (c *Controller) priorityOf(key cache.ObjectName) priority {
	mc, err := c.cached(key.Namespace).miniclusters.MiniClusters(key.Namespace).Get(key.Name)
	switch {
	case err != nil || mc.DeletionTimestamp != nil:
		return priorityChange // it was deleted
	case mc.Status.JobID == "" && !mc.Status.Finished() && !c.madeJob(key, mc.UID):
		return priorityCreation
	case mc.Generation != max(status.FirstGeneration, mc.Status.ObservedGeneration): // an edit, also before the first status
		return priorityChange
	default:
		return priorityReadiness
	}
}

// madeJob reports whether a MiniCluster without a Job in its status has one: the cache has seen it, or will.
func (c *Controller) madeJob(key cache.ObjectName, owner types.UID) bool {
	return c.jobRecords.get(key, owner) != nil || c.consistency.Writes(key)[jobs] != ""
}

// lead starts to fill the queue, with all MiniClusters.
func (c *Controller) lead() {
	c.leading.Store(true)
	for _, caches := range c.caches {
		mcs, err := caches.miniclusters.List(labels.Everything())
		if err != nil {
			continue // a cache does not fail
		}
		for _, mc := range mcs {
			c.enqueue(cache.MetaObjectToName(mc))
		}
	}
}

// processNext syncs the next MiniCluster of the queue; it returns false when the
// queue was shut down.
func (c *Controller) processNext(ctx context.Context) bool {
	key, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(key)

	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("minicluster", key))
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()

	start := c.clock.Now()
	after, err := c.sync(ctx, key)
	v := classify(err)
	c.consistency.Ended(key, v.outcome, c.clock.Now())
	if v.outcome == outcomeDone && after > 0 {
		v.outcome = outcomeDelayed
	}
	if v.failed {
		utilruntime.HandleErrorWithContext(ctx, err, "Sync failed, retrying")
	}
	c.requeue(key, v.outcome, after)
	c.metrics.Synced(v.outcome.row().result, c.clock.Since(start))
	return true
}

// requeue schedules the next sync of a MiniCluster: after the time that the sync requested, and after that of its
// outcome.
func (c *Controller) requeue(key cache.ObjectName, o outcome, after time.Duration) {
	row := o.row()
	next := delay{after: after}
	next.requeueAfter(c.limiters.next(row.retry, key))
	if !row.keepFailures {
		c.queue.Forget(key)
	}
	if row.retry == retryAfterWrite && c.consistency.Pending(key) {
		next.requeueAfter(recheckAfterWrite)
	}
	if row.retry == retryRateLimited {
		c.queue.AddRateLimited(key)
	}
	if next.after > 0 {
		c.enqueueAfter(key, next.after)
	}
}

// enqueue adds a MiniCluster to the queue, if this process leads.
func (c *Controller) enqueue(key cache.ObjectName) {
	if c.leading.Load() {
		c.queue.Add(key)
	}
}

// enqueueAfter adds a MiniCluster to the queue after a time; at once for 0.
func (c *Controller) enqueueAfter(key cache.ObjectName, after time.Duration) {
	if c.leading.Load() {
		c.queue.AddAfter(key, after)
	}
}
