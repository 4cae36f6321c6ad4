package controller

import (
	"context"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Bounds of the delays after which a sync is retried.
const (
	// retryBase and retryMax are for failed requests.
	retryBase = 50 * time.Millisecond
	retryMax  = time.Minute
	// conflictBase is for name conflicts, up to retryMax.
	conflictBase = time.Second
	// waitBase and waitMax are for syncs that wait.
	waitBase = 500 * time.Millisecond
	waitMax  = 10 * time.Second
	// staleRetry and staleMax are for stale caches, unless the missing event comes first.
	// A watch may hang; what is uncertain is then read from the API server.
	staleRetry = 100 * time.Millisecond
	staleMax   = 2 * time.Second
)

// recheckAfterWrite is the time after which a sync that wrote something is followed by
// another one, unless an event triggers that sooner. An object that was created and
// deleted while a watch was broken was never in the cache, and its end is no event. The
// sync takes no request.
const recheckAfterWrite = 10 * time.Second

// recheckSecret is how often the Secret of a MiniCluster without certificate is read: no
// event reports that somebody restored it.
const recheckSecret = time.Minute

// syncTimeout ends a sync whose requests hang.
const syncTimeout = time.Minute

// limiters are the delays of the outcomes that are no failures.
type limiters map[retryPolicy]workqueue.TypedRateLimiter[cache.ObjectName]

func newLimiters() limiters {
	return limiters{
		retryStale:        workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](staleRetry, staleMax),
		retryNameConflict: workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](conflictBase, retryMax),
		retryWaiting:      workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](waitBase, waitMax),
	}
}

// next is the delay of a policy, and resets the delays of the others.
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

// requeue schedules the next sync of a MiniCluster: after a time that the sync asked for,
// and after that of its outcome.
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

// enqueueAfter adds a MiniCluster to the queue after a time; at once for 0.
func (c *Controller) enqueueAfter(key cache.ObjectName, after time.Duration) {
	c.queue.AddAfter(key, after)
}
