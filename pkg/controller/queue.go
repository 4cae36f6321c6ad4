package controller

import (
	"context"
	"errors"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// staleRetry is the time after which a sync that met a stale cache is tried again,
// unless the event that it lacked comes first. It doubles up to staleMax: a watch may
// hang, and what is not certain meanwhile is asked for.
const (
	staleRetry = 100 * time.Millisecond
	staleMax   = 2 * time.Second
)

// recheckAfterWrite is the time after which a sync that wrote something is followed by
// another one, unless an event brings that sooner. What we made and somebody deleted
// while a watch was broken was never in the cache, and its end is no event. It takes
// no request.
const recheckAfterWrite = 10 * time.Second

// recheckSecret is how often the Secret of a MiniCluster without certificate is asked
// for: no event tells that somebody has brought it back.
const recheckSecret = time.Minute

// syncTimeout ends a sync whose requests hang.
const syncTimeout = time.Minute

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
	err := c.sync(ctx, key)
	result := c.requeue(ctx, key, err)
	c.metrics.synced(result, c.clock.Since(start))
	return true
}

// requeue decides from the kind of an error when a MiniCluster is synced again.
// It returns the kind, for the metrics.
func (c *Controller) requeue(ctx context.Context, key cache.ObjectName, err error) syncResult {
	var (
		held     *heldError
		delay    *delayError
		wait     *waitError
		terminal *terminalError
	)
	if !errors.As(err, &held) {
		c.held.Forget(key)
	}
	if !errors.As(err, &wait) {
		c.waits.Forget(key)
	}
	if !isStale(err) {
		c.stales.Forget(key)
	}
	switch {
	case err == nil:
		c.queue.Forget(key)
		if c.fresh.expects(key) {
			c.queue.AddAfter(key, recheckAfterWrite)
		}
		return resultDone
	case errors.As(err, &terminal) && terminal.retry:
		c.queue.AddRateLimited(key)
		return resultTerminal
	case errors.As(err, &terminal):
		c.queue.Forget(key)
		return resultTerminal
	case isStale(err):
		c.queue.AddAfter(key, c.stales.When(key))
		return resultStale
	case errors.As(err, &delay):
		c.queue.Forget(key)
		c.queue.AddAfter(key, delay.after)
		return resultDone
	case errors.As(err, &held):
		c.queue.Forget(key)
		c.queue.AddAfter(key, c.held.When(key))
		return resultHeld
	case errors.As(err, &wait):
		c.queue.Forget(key)
		c.queue.AddAfter(key, c.waits.When(key))
		return resultDone
	case isGoing(err):
		c.queue.Forget(key)
		return resultDone
	default:
		utilruntime.HandleErrorWithContext(ctx, err, "Sync failed, trying again")
		c.queue.AddRateLimited(key)
		return resultError
	}
}
